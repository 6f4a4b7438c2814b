//! Small models of every family from scratch on real books: held-out losses of this project with two workers, and of
//! Transformers and PyTorch (`tests/benchmarks/curves.py`) on the same micro-batches, from seeds of their own. Knows
//! what is compared and in which order; how a loss is made is the programs' business.

mod figure;
mod runs;
mod verdict;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::inputs::Inputs;
use super::{FOLDER, cannot, date, facts, with_transformers, write};
use crate::shell::{Failure, Outcome, cargo, failed, run as run_command};
use crate::tidy::workspace::Workspace;
use runs::Programs;

/// Arguments of `cargo xtask bench curves`.
#[derive(Debug, clap::Args)]
pub struct CurvesArgs {
    /// A folder of books; without it, what is in ../shared/data, or else the corpus of `demo-corpus`
    #[arg(long, value_name = "PATH")]
    corpus: Option<PathBuf>,
    /// A family; may be given more than once; without it, all five
    #[arg(long, value_name = "NAME")]
    family: Vec<String>,
    /// How many runs each side makes
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(2..))]
    seeds: u64,
    /// Steps of a run
    #[arg(long, value_name = "N", default_value_t = 600, value_parser = clap::value_parser!(u64).range(100..))]
    steps: u64,
    /// Keep results as `curves-FAMILY-DATE.json` and `.svg` in this folder
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// The date in the results; today if it is not given
    #[arg(long, value_name = "YYYY-MM-DD")]
    date: Option<String>,
}

/// Families, and the configurations in `configs/corpus` that make their datasets.
const CASES: [(&str, &str); 5] = [
    ("bert", "books-wordpiece"),
    ("albert", "books-albert"),
    ("roberta", "books"),
    ("electra", "books-wordpiece"),
    ("spanbert", "books-spanbert"),
];
/// One book of so many is not learned from.
const HELD_OUT_EVERY: usize = 12;
/// What is smaller than in `configs/FAMILY/cpu.toml`: a run takes a minute on one core.
const SETTINGS: [&str; 10] = [
    "model.layers=2",
    "model.hidden=128",
    "model.heads=2",
    "model.feed_forward=512",
    "model.max_positions=64",
    "objective.max_len=64",
    "train.batch=32",
    "train.micro_batch=16",
    "evaluation.every=50",
    "evaluation.sequences=512",
];

/// Runs the comparison.
pub fn run(root: &Path, arguments: &CurvesArgs) -> Outcome<()> {
    let cases = chosen(&arguments.family)?;
    let python = with_transformers(root)?;
    for programs in [&["--bin=cloze"][..], &["--package=engine"], &["--package=worker", "--example=batches"]]
    {
        run_command(cargo(root).args(["build", "--release", "--locked"]).args(programs))?;
    }
    let target = Workspace::load(root)?.target;
    let folder = target.join(FOLDER).join("curves");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| cannot(&folder, &error))?;
    let inputs = Inputs::find(root, &target.join(FOLDER), arguments.corpus.as_deref())?;
    let (held_out, trained) = split(inputs.book_files())?;
    let programs = Programs { root, release: target.join("release"), folder, python };

    let corpora: BTreeSet<&str> = cases.iter().map(|(_, corpus)| *corpus).collect();
    for corpus in corpora {
        programs.prepare(corpus, &trained, &held_out)?;
    }
    let mut behind = Vec::new();
    for (family, corpus) in cases {
        let settings = settings(arguments.steps);
        let (ours, theirs) = programs.both(family, corpus, &settings, arguments.seeds)?;
        let terms = verdict::terms(&ours, &theirs)?;
        println!("{}", verdict::show(family, &terms));
        if !verdict::reached(&terms) {
            behind.push(family);
        }
        let results = json!({
            "benchmark": "curves", "command": command(arguments, family),
            "date": date(arguments.date.as_deref()), "machine": facts::machine(), "project": facts::project(root),
            "corpus": {
                "name": inputs.name, "books": trained.len(), "held_out_books": held_out.len(),
                "configuration": format!("configs/corpus/{corpus}.toml"),
            },
            "family": family, "configuration": format!("configs/{family}/cpu.toml"), "settings": settings,
            "terms": terms, "ours": ours, "theirs": theirs,
        });
        if let Some(out) = &arguments.out {
            keep(out, family, &results)?;
        }
    }
    match behind.is_empty() {
        true => Ok(()),
        false => failed(format!("the peer reaches lower held-out losses with {}", behind.join(", "))),
    }
}

/// The families that were asked for.
fn chosen(names: &[String]) -> Outcome<Vec<(&'static str, &'static str)>> {
    if let Some(unknown) = names.iter().find(|name| CASES.iter().all(|(family, _)| family != name)) {
        let known: Vec<&str> = CASES.iter().map(|(family, _)| *family).collect();
        return Err(Failure::BadInput(format!(
            "no family is called {unknown}; there are {}",
            known.join(", ")
        )));
    }
    let wanted = |case: &&(&str, &str)| names.is_empty() || names.iter().any(|name| name == case.0);
    Ok(CASES.iter().filter(wanted).copied().collect())
}

/// Books that models are measured on, and those that they learn from.
fn split(books: Vec<PathBuf>) -> Outcome<(Vec<PathBuf>, Vec<PathBuf>)> {
    if books.len() < 2 {
        return Err(Failure::BadInput("the corpus must have two books (.txt) at least".to_owned()));
    }
    let (held_out, trained): (Vec<_>, Vec<_>) =
        books.into_iter().enumerate().partition(|(index, _)| index % HELD_OUT_EVERY == 0);
    let without_index = |books: Vec<(usize, PathBuf)>| books.into_iter().map(|(_, book)| book).collect();
    Ok((without_index(held_out), without_index(trained)))
}

fn settings(steps: u64) -> Vec<String> {
    let fixed = SETTINGS.iter().map(|&setting| setting.to_owned());
    let of_length = [
        format!("train.steps={steps}"),
        format!("schedule.warmup_steps={}", steps / 6),
        format!("checkpoint.every={steps}"),
    ];
    fixed.chain(of_length).collect()
}

/// What makes one family's results again.
fn command(arguments: &CurvesArgs, family: &str) -> String {
    let CurvesArgs { seeds, steps, .. } = arguments;
    let corpus = match &arguments.corpus {
        Some(corpus) => format!(" --corpus {}", corpus.display()),
        None => String::new(),
    };
    format!("cargo xtask bench curves --family {family} --seeds {seeds} --steps {steps}{corpus} --out FOLDER")
}

/// Writes the numbers, and a picture of them.
fn keep(out: &Path, family: &str, results: &Value) -> Outcome<()> {
    fs::create_dir_all(out).map_err(|error| cannot(out, &error))?;
    let stem = format!("curves-{family}-{}", results["date"].as_str().unwrap_or_default());
    write(&out.join(format!("{stem}.json")), results)?;
    let picture = out.join(format!("{stem}.svg"));
    fs::write(&picture, figure::draw(results)?).map_err(|error| cannot(&picture, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_chosen_by_name() {
        assert_eq!(chosen(&[]).unwrap(), CASES);
        assert_eq!(chosen(&["roberta".to_owned()]).unwrap(), [("roberta", "books")]);
        assert!(chosen(&["robert".to_owned()]).unwrap_err().to_string().contains("roberta"));
    }

    #[test]
    fn no_book_is_on_both_sides() {
        let books: Vec<PathBuf> = (0..25).map(|number| format!("{number}.txt").into()).collect();
        let (held_out, trained) = split(books.clone()).unwrap();
        assert_eq!((held_out.len(), trained.len()), (3, 22));
        assert!(held_out.iter().all(|book| !trained.contains(book)));
        assert!(split(vec![books[0].clone()]).is_err());
    }
}
