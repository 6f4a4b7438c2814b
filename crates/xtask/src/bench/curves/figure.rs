//! Held-out losses over steps as a picture (SVG): for each loss a panel, for each side the mean of its seeds and the
//! band that they fill. Knows results, and not how they were made.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::prelude::*;
use serde_json::Value;

use super::verdict::spread;
use crate::shell::{Failure, Outcome};

/// Pixels.
const PANEL: (u32, u32) = (480, 360);
const HEAD: u32 = 64;
/// Distinguishable for those who see colours differently (Okabe & Ito 2008).
const SIDES: [(&str, &str, RGBColor); 2] =
    [("ours", "cloze, 2 workers", RGBColor(213, 94, 0)), ("theirs", "Transformers", RGBColor(0, 114, 178))];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
/// Of each step: the least, the mean and the greatest of the seeds.
type Curve = BTreeMap<u64, [f64; 3]>;

/// The picture of the results that `curves.rs` writes.
pub fn draw(results: &Value) -> Outcome<String> {
    let terms: Vec<&str> =
        results["terms"].as_array().into_iter().flatten().filter_map(|term| term["name"].as_str()).collect();
    let mut picture = String::new();
    let size = (PANEL.0 * terms.len().max(1) as u32, HEAD + PANEL.1);
    let drawn = whole(SVGBackend::with_string(&mut picture, size).into_drawing_area(), results, &terms);
    drawn.map_err(|error| Failure::Failed(format!("the picture cannot be drawn: {error}")))?;
    Ok(picture)
}

fn whole(area: Area<'_>, results: &Value, terms: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    area.fill(&WHITE)?;
    let text = |key: &str| results[key].as_str().unwrap_or_default().to_owned();
    let (head, panels) = area.split_vertically(HEAD);
    let seeds = results["ours"].as_array().map_or(0, Vec::len);
    let about = format!("{}, {}, {seeds} seeds", text("configuration"), text("date"));
    let style = |size: u32| ("sans-serif", size).into_font().color(&BLACK);
    head.draw(&Text::new(format!("Held-out losses: {about}"), (12, 10), style(16)))?;
    head.draw(&Text::new(text("command"), (12, 36), ("monospace", 11).into_font().color(&BLACK)))?;
    for (panel, term) in panels.split_evenly((1, terms.len())).iter().zip(terms) {
        let curves = SIDES.map(|(side, name, color)| (curve(&results[side], term), name, color));
        draw_panel(panel, term, &curves)?;
    }
    Ok(area.present()?)
}

fn curve(runs: &Value, term: &str) -> Curve {
    let mut values: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let evaluations = |run: &Value| run["evaluations"].as_array().cloned().unwrap_or_default();
    for evaluation in runs.as_array().into_iter().flatten().flat_map(evaluations) {
        if let (Some(step), Some(loss)) = (evaluation["step"].as_u64(), evaluation["losses"][term].as_f64()) {
            values.entry(step).or_default().push(loss);
        }
    }
    values.into_iter().map(|(step, seeds)| (step, spread(&seeds))).collect()
}

fn draw_panel(
    area: &Area<'_>,
    term: &str,
    curves: &[(Curve, &str, RGBColor)],
) -> Result<(), Box<dyn std::error::Error>> {
    let steps = curves.iter().flat_map(|(curve, ..)| curve.keys().copied());
    let losses = || curves.iter().flat_map(|(curve, ..)| curve.values());
    let least = losses().map(|[least, ..]| *least).fold(f64::INFINITY, f64::min);
    let greatest = losses().map(|[.., greatest]| *greatest).fold(f64::NEG_INFINITY, f64::max);
    let margin = (greatest - least).max(1e-3) * 0.05;
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(56)
        .build_cartesian_2d(0..steps.max().unwrap_or(1), least - margin..greatest + margin)?;
    chart
        .configure_mesh()
        .x_desc("step")
        .y_desc(format!("{term} (nats)"))
        .x_labels(7)
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .label_style(("sans-serif", 12))
        .draw()?;
    for (curve, name, color) in curves {
        let color = *color;
        let there = curve.iter().map(|(&step, &[least, ..])| (step, least));
        let back = curve.iter().rev().map(|(&step, &[.., greatest])| (step, greatest));
        let band: Vec<(u64, f64)> = there.chain(back).collect();
        chart.draw_series([Polygon::new(band, color.mix(0.2).filled())])?;
        let mean = curve.iter().map(|(&step, &[_, mean, _])| (step, mean));
        chart
            .draw_series(LineSeries::new(mean, color.stroke_width(2)))?
            .label(*name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], color.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE)
        .label_font(("sans-serif", 12))
        .draw()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_loss_has_a_panel_with_both_sides() {
        let run = |loss: f64| {
            let at = |step: u64| json!({ "step": step, "losses": { "mlm": loss - step as f64 / 100.0, "nsp": 0.7 } });
            json!({ "evaluations": [at(50), at(100)] })
        };
        let results = json!({
            "configuration": "configs/bert/cpu.toml", "date": "2026-01-01", "command": "cargo xtask bench curves",
            "terms": [{ "name": "mlm" }, { "name": "nsp" }], "ours": [run(7.0), run(7.5)], "theirs": [run(7.2)],
        });
        assert_eq!(curve(&results["ours"], "mlm")[&50], [6.5, 6.75, 7.0]);
        let picture = draw(&results).unwrap();
        assert!(picture.starts_with("<svg"), "{}", &picture[..40]);
        for text in
            ["mlm (nats)", "nsp (nats)", "Transformers", "cloze, 2 workers", "cargo xtask bench curves"]
        {
            assert!(picture.contains(text), "{text} is not in the picture");
        }
        assert_eq!(picture.matches("<polygon").count(), 4);
    }
}
