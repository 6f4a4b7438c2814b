//! The last held-out losses of both sides, and whether ours are reached by the peer's seeds as well. Knows numbers only.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::shell::{Failure, Outcome};

/// For each loss that the peer has: the last values of both sides, seed by seed.
pub fn terms(ours: &[Value], theirs: &[Value]) -> Outcome<Vec<Value>> {
    let names = theirs.first().and_then(|run| last(run)["losses"].as_object());
    let names: Vec<&String> = names.into_iter().flat_map(serde_json::Map::keys).collect();
    if names.is_empty() {
        return Err(Failure::Failed("the peer measured nothing".to_owned()));
    }
    names
        .into_iter()
        .map(|name| Ok(json!({ "name": name, "ours": at_end(ours, name)?, "theirs": at_end(theirs, name)? })))
        .collect()
}

fn last(run: &Value) -> &Value {
    run["evaluations"].as_array().and_then(|evaluations| evaluations.last()).unwrap_or(&Value::Null)
}

fn at_end(runs: &[Value], name: &str) -> Outcome<Vec<f64>> {
    let value = |run: &Value| {
        last(run)["losses"][name].as_f64().ok_or_else(|| {
            Failure::Failed(format!("a run with seed {} measured no `{name}` at its end", run["seed"]))
        })
    };
    runs.iter().map(value).collect()
}

fn numbers(values: &Value) -> Vec<f64> {
    values.as_array().into_iter().flatten().filter_map(Value::as_f64).collect()
}

/// By how much the mean of our seeds is above that of the peer's, and the standard error of that (Welch 1947).
fn difference(term: &Value) -> [f64; 2] {
    let [(ours, error), (theirs, other)] = ["ours", "theirs"].map(|side| {
        let values = numbers(&term[side]);
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (mean, squares / (count - 1.0) / count)
    });
    [ours - theirs, (error + other).sqrt()]
}

/// The least, the mean and the greatest of some values.
pub fn spread(values: &[f64]) -> [f64; 3] {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    [least, values.iter().sum::<f64>() / values.len() as f64, greatest]
}

/// Whether our mean is nowhere above the peer's worst seed.
pub fn reached(terms: &[Value]) -> bool {
    terms.iter().all(|term| spread(&numbers(&term["ours"]))[1] <= spread(&numbers(&term["theirs"]))[2])
}

/// A table for people.
pub fn show(family: &str, terms: &[Value]) -> String {
    let mut text =
        format!("{family:9} {:>9} {:>19} {:>9} {:>19}\n", "ours", "from – to", "theirs", "from – to");
    for term in terms {
        let (ours, theirs) = (spread(&numbers(&term["ours"])), spread(&numbers(&term["theirs"])));
        let word = match ours[1] {
            mean if mean > theirs[2] => "above the peer's seeds",
            mean if mean < theirs[0] => "below the peer's seeds",
            _ => "within the peer's seeds",
        };
        let side = |[least, mean, greatest]: [f64; 3]| {
            format!("{mean:9.4} {:>19}", format!("{least:.4} – {greatest:.4}"))
        };
        let name = term["name"].as_str().unwrap_or_default();
        let [difference, error] = difference(term);
        let _ = writeln!(
            text,
            "  {name:7} {} {}  {word} ({difference:+.4} ± {error:.4})",
            side(ours),
            side(theirs)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(values: &[f64]) -> Vec<Value> {
        let run = |value: &f64| {
            json!({ "seed": 1, "evaluations": [
                { "step": 50, "losses": { "mlm": 9.0 } },
                { "step": 100, "losses": { "mlm": value, "accuracy": 0.1 } },
            ] })
        };
        values.iter().map(run).collect()
    }

    #[test]
    fn our_mean_is_compared_with_their_seeds() {
        let against = |ours: &[f64]| {
            let mut theirs = runs(&[6.0, 6.2]);
            for run in &mut theirs {
                run["evaluations"][1]["losses"].as_object_mut().unwrap().remove("accuracy");
            }
            let terms = terms(&runs(ours), &theirs).unwrap();
            assert_eq!(terms.len(), 1, "the accuracy is ours alone");
            (reached(&terms), show("bert", &terms))
        };
        let (reached, shown) = against(&[6.1, 6.26]);
        assert!(reached && shown.contains("within") && shown.contains("6.1800"), "{shown}");
        // √((0.08² + 0.1²)); the standard error of two values is half of what lies between them.
        assert!(shown.contains("(+0.0800 ± 0.1281)"), "{shown}");
        let (reached, shown) = against(&[6.1, 6.4]);
        assert!(!reached && shown.contains("above"), "{shown}");
        let (reached, shown) = against(&[5.9, 5.8]);
        assert!(reached && shown.contains("below"), "{shown}");
    }

    #[test]
    fn a_loss_that_is_missing_is_named() {
        let theirs = json!({ "seed": 1, "evaluations": [{ "step": 1, "losses": { "sbo": 1.0 } }] });
        let error = terms(&runs(&[1.0]), &[theirs]).unwrap_err();
        assert!(error.to_string().contains("`sbo`"), "{error}");
        assert!(terms(&runs(&[1.0]), &[]).is_err());
    }
}
