//! Rules about what stands in files: heads, sizes, whitespace, `unsafe`, ignored tests, names of families.
//! Knows files one at a time.

use super::Violation;
use super::source::{code_of, lines_with_word};
use super::tree::{File, Tree};

/// Lines that a file may have before its tests.
const MOST_LINES: usize = 500;

/// Rooms that talk to libtorch's C++ and to NCCL.
const MAY_BE_UNSAFE: [&str; 2] = ["aten", "collective"];

/// The families that exist whatever the tree looks like.
const FAMILIES: [&str; 5] = ["bert", "albert", "roberta", "electra", "spanbert"];

/// What is called after a family and is something else: the whole kind of model, an optimizer, a library's
/// modules and types.
const NOT_A_FAMILY: [&str; 8] = [
    "BERT-family",
    "BERT family",
    "BertAdam",
    "processors::roberta::RobertaProcessing",
    "RobertaProcessing",
    "BertNormalizer",
    "pre_tokenizers::bert::BertPreTokenizer",
    "BertPreTokenizer",
];

/// All rules about text.
pub fn check(tree: &Tree, violations: &mut Vec<Violation>) {
    let families = families(tree);
    for file in &tree.files {
        whitespace(file, violations);
        if file.is_rust() {
            head(file, violations);
            size(file, violations);
            unsafety(file, violations);
            ignored_tests(file, violations);
            family_names(file, &families, violations);
        }
    }
}

/// Every family: the five, and each that has both a folder of code and one of recipes.
fn families(tree: &Tree) -> Vec<String> {
    let mut names: Vec<String> = FAMILIES.map(str::to_owned).to_vec();
    let code: Vec<&str> = tree.folders_in("crates/families/src").collect();
    names.extend(tree.folders_in("configs").filter(|name| code.contains(name)).map(str::to_owned));
    names.sort();
    names.dedup();
    names
}

fn head(file: &File, violations: &mut Vec<Violation>) {
    if !file.text.starts_with("//!") {
        violations.push(Violation::new(
            &file.path,
            1,
            "does not start with `//!`",
            "begin with what this file is and what it does not know",
        ));
    }
}

fn size(file: &File, violations: &mut Vec<Violation>) {
    let lines = file.text.lines().take_while(|line| !line.trim_start().starts_with("#[cfg(test)]")).count();
    if lines > MOST_LINES {
        violations.push(Violation::new(
            &file.path,
            MOST_LINES + 1,
            format!("has {lines} lines before its tests, {MOST_LINES} are allowed"),
            "find the second thing that it does and give that a file",
        ));
    }
}

fn unsafety(file: &File, violations: &mut Vec<Violation>) {
    if MAY_BE_UNSAFE.contains(&file.room()) {
        return;
    }
    for line in lines_with_word(&code_of(&file.text), "unsafe") {
        violations.push(Violation::new(
            &file.path,
            line,
            "`unsafe` outside of aten and collective",
            "do without, or put a safe function around it there",
        ));
    }
}

fn ignored_tests(file: &File, violations: &mut Vec<Violation>) {
    for (index, line) in code_of(&file.text).lines().enumerate() {
        let dense: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        let hidden = dense.contains("cfg_attr(") && lines_with_word(line, "ignore").next().is_some();
        if dense.contains("#[ignore") || hidden {
            violations.push(Violation::new(
                &file.path,
                index + 1,
                "an ignored test",
                "let it run, or let it print `skipped: why` and return where the machine lacks something",
            ));
        }
    }
}

/// Family names belong to the families, and to tests, which need some recipe to run.
fn family_names(file: &File, families: &[String], violations: &mut Vec<Violation>) {
    let is_test =
        file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
    if is_test || ["families", "xtask"].contains(&file.room()) {
        return;
    }
    for (index, line) in file.text.lines().enumerate() {
        let trimmed = line.trim_start();
        if trimmed.starts_with("#[cfg(test)]") {
            return;
        }
        if trimmed.starts_with("//") {
            continue;
        }
        if let Some(name) = families.iter().find(|name| names_family(line, name)) {
            violations.push(Violation::new(
                &file.path,
                index + 1,
                format!("names the family {name}"),
                "ask the registry of crates/families instead: a further family must not need a change here",
            ));
        }
    }
}

/// Whether a line names a family in any spelling: `roberta`, `RoBERTa`, `BertConfig`, `albert_base`.
fn names_family(line: &str, family: &str) -> bool {
    let line = NOT_A_FAMILY.iter().fold(line.to_owned(), |line, other| line.replace(other, ""));
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.split(|c| !is_part(c)).filter(|word| !word.is_empty()).any(|word| {
        let whole = word.to_lowercase();
        let names_whole = whole == family || whole.split('_').any(|part| part == family);
        names_whole || humps(word).iter().any(|hump| hump.eq_ignore_ascii_case(family))
            // The longer names are nothing else even inside of a word.
            || (family.len() > 4 && whole.contains(family))
    })
}

/// The parts of a name in camel case.
fn humps(word: &str) -> Vec<String> {
    let mut humps: Vec<String> = Vec::new();
    for c in word.chars() {
        match humps.last_mut() {
            Some(hump) if !c.is_uppercase() => hump.push(c),
            _ => humps.push(c.to_string()),
        }
    }
    humps
}

fn whitespace(file: &File, violations: &mut Vec<Violation>) {
    for (index, line) in file.text.split('\n').enumerate() {
        if line.ends_with([' ', '\t', '\r']) {
            violations.push(Violation::new(
                &file.path,
                index + 1,
                "whitespace at the end of the line",
                "remove it",
            ));
        }
        if line.contains('\t') {
            violations.push(Violation::new(&file.path, index + 1, "a tab", "use spaces"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Rule = fn(&File, &mut Vec<Violation>);

    fn lines(path: &str, text: &str, rule: Rule) -> Vec<usize> {
        let mut violations = Vec::new();
        rule(&File { path: path.to_owned(), text: text.to_owned() }, &mut violations);
        violations.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_missing_head_is_found() {
        assert_eq!(lines("crates/plan/src/a.rs", "// no\nfn f() {}\n", head), [1]);
        assert!(lines("crates/plan/src/a.rs", "//! Yes.\n", head).is_empty());
    }

    #[test]
    fn a_long_file_is_found_and_its_tests_do_not_count() {
        let long = "//! Long.\n".repeat(501);
        assert_eq!(lines("crates/plan/src/a.rs", &long, size), [501]);
        let tested = "//! Short.\n".repeat(500) + "#[cfg(test)]\nmod tests {\n" + &"\n".repeat(900);
        assert!(lines("crates/plan/src/a.rs", &tested, size).is_empty());
    }

    #[test]
    fn unsafe_is_found_outside_of_its_rooms() {
        let text = "//! unsafe\nfn f() {\n    unsafe { g(\"unsafe\") }\n}\n";
        assert_eq!(lines("crates/plan/src/a.rs", text, unsafety), [3]);
        assert_eq!(lines("tests/src/a.rs", text, unsafety), [3]);
        assert!(lines("crates/aten/src/a.rs", text, unsafety).is_empty());
    }

    #[test]
    fn ignored_tests_are_found() {
        let text =
            "#[ignore]\n#[ignore = \"slow\"]\n// #[ignore]\n#[cfg_attr(not(gpu), ignore)]\nfn ignore() {}\n";
        assert_eq!(lines("crates/plan/src/a.rs", text, ignored_tests), [1, 2, 4]);
    }

    #[test]
    fn family_names_are_found() {
        let rule: Rule = |file, violations| family_names(file, &families(&Tree::default()), violations);
        let text = "//! For RoBERTa.\nlet a = \"roberta\";\nlet b = BertConfig::new();\nlet c = albert_base;\n\
                    // ELECTRA\nlet d = \"a BERT-family encoder\";\nlet e = SpanBERT;\nlet f = \"DistilBERT\";\n\
                    #[cfg(test)]\nlet g = \"electra\";\n";
        assert_eq!(lines("crates/cli/src/a.rs", text, rule), [2, 3, 4, 7]);
        assert!(lines("crates/families/src/a.rs", text, rule).is_empty());
        assert!(lines("tests/tests/a.rs", text, rule).is_empty());
    }

    #[test]
    fn a_sixth_family_is_known_by_its_folders() {
        let folders = ["configs/deberta", "configs/shared", "crates/families/src/deberta"];
        let tree = Tree { folders: folders.map(str::to_owned).to_vec(), ..Tree::default() };
        let names = families(&tree);
        assert_eq!(names.len(), 6);
        assert!(names.contains(&"deberta".to_owned()));
    }

    #[test]
    fn stray_whitespace_is_found() {
        assert_eq!(lines("README.md", "a \nb\tc\nd\r\ne\n", whitespace), [1, 2, 3]);
        assert!(lines("README.md", "a\n\nb\n", whitespace).is_empty());
    }
}
