//! What the unit tests of all families share: a small plan, a small vocabulary, text, and the checks that are
//! the same for all. Knows no family.

use std::collections::BTreeSet;
use std::sync::Arc;

use corpus::{Sample, Specials, Vocabulary};
use plan::{Key, RunPlan};

use crate::{Example, Family, Init, Recipe, RecipeResult};

/// The special tokens of [`vocabulary`].
pub const SPECIALS: Specials = Specials { bos: 0, pad: 1, eos: 2, unk: 3, mask: 4 };
/// Number of tokens, where a test does not need another.
pub const SIZE: u32 = 1_000;
/// Tokens of a full sample, special ones included.
pub const MAX_LEN: usize = 128;

/// Two ordinary tokens in three begin a word. The unknown token begins none here: it is for the families to
/// know that it is a word all the same.
pub fn vocabulary(size: u32) -> Vocabulary {
    Vocabulary::new(size, SPECIALS, begins_word)
}

fn begins_word(id: u32) -> bool {
    id > SPECIALS.mask && !id.is_multiple_of(3)
}

/// Ordinary tokens, one in fifty of them unknown.
pub fn text(len: usize, seed: u64) -> Vec<u32> {
    let mut stream = Key::root(seed).named("text").stream();
    let mut draw = |bound: u32| stream.below(u64::from(bound)) as u32;
    let token = |_| if draw(50) == 0 { SPECIALS.unk } else { 5 + draw(SIZE - 5) };
    (0..len).map(token).collect()
}

/// A sample of that many segments that fills `MAX_LEN` with `specials` special tokens around them.
pub fn full_sample(segments: usize, specials: usize, seed: u64) -> Sample {
    let tokens = text(MAX_LEN - specials, seed);
    Sample::new(tokens.chunks(tokens.len().div_ceil(segments)))
}

/// A family with a vocabulary, for plans that say as little as they can.
pub struct Bench {
    pub family: Family,
    pub vocabulary: Vocabulary,
}

impl Bench {
    pub fn new(family: Family) -> Self {
        Bench { family, vocabulary: vocabulary(SIZE) }
    }

    /// The smallest plan with `settings`, as [`RunPlan::parse`] takes them.
    pub fn parse(&self, settings: &[&str]) -> RecipeResult {
        let text = format!(
            "run = {{ name = \"test\" }}\ndata = {{ dataset = \"data\" }}\n\
             model = {{ family = \"{}\", layers = 4, hidden = 192, heads = 3, max_positions = 128 }}\n\
             objective = {{ max_len = 128 }}\ntrain = {{ steps = 1, batch = 4, micro_batch = 4 }}\n\
             optimizer = {{ kind = \"adam-w\", peak_learning_rate = 1e-3, betas = [0.9, 0.999], \
             epsilon = 1e-6, weight_decay = 0.01 }}\n",
            self.family.name
        );
        let settings: Vec<String> = settings.iter().map(|&pair| pair.to_owned()).collect();
        let plan = RunPlan::parse("test.toml", &text, &settings).unwrap();
        (self.family.parse)(&plan, "test.toml", &self.vocabulary)
    }

    /// The recipe of a plan that is accepted.
    pub fn recipe(&self, settings: &[&str]) -> Arc<dyn Recipe> {
        self.parse(settings).unwrap_or_else(|error| panic!("{settings:?}: {error}"))
    }

    /// What is said of a plan that is refused, behind its name.
    pub fn refused(&self, setting: &str) -> String {
        match self.parse(&[setting]) {
            Ok(_) => panic!("accepted {setting}"),
            Err(error) => {
                let message = error.to_string();
                message.strip_prefix("test.toml: ").unwrap_or_else(|| panic!("{message}")).to_owned()
            }
        }
    }

    /// That each setting alone is refused with a message that begins like this.
    pub fn check_mistakes(&self, cases: &[(&str, &str)]) {
        for (setting, expected) in cases {
            let message = self.refused(setting);
            assert!(message.starts_with(expected), "{setting}: {message}, not {expected}");
        }
    }

    /// The same for the keys that all families have.
    pub fn check_common_mistakes(&self) {
        self.check_mistakes(&[
            ("model.layer=3", "unknown key `model.layer`; did you mean `model.layers`?"),
            (
                "objective.mask_rat=0.1",
                "unknown key `objective.mask_rat`; did you mean `objective.mask_rate`?",
            ),
            ("model.layers=0", "`model.layers` must be at least 1"),
            ("model.hidden=0", "`model.hidden` must be at least 1"),
            ("model.heads=0", "`model.heads` must be at least 1"),
            ("model.feed_forward=0", "`model.feed_forward` must be at least 1"),
            ("model.max_positions=0", "`model.max_positions` must be at least 1"),
            ("model.heads=7", "`model.hidden` is 192; it must be a multiple of model.heads = 7"),
            ("model.dropout=1.0", "`model.dropout` is 1; it must be at least 0 and below 1"),
            ("model.dropout=nan", "`model.dropout` is NaN; it must be at least 0 and below 1"),
            ("model.attention_dropout=-0.1", "`model.attention_dropout` is -0.1; it must be at least 0"),
            ("model.layer_norm_epsilon=0.0", "`model.layer_norm_epsilon` is 0; it must be"),
            ("model.init_std=-0.02", "`model.init_std` is -0.02; it must be"),
            ("model.init_std=inf", "`model.init_std` is inf; it must be"),
            ("model.vocab_size=999", "`model.vocab_size` is 999, but the tokenizer has 1000 tokens; "),
            ("model.activation=relu", "[model] unknown variant `relu`, expected `gelu` or `gelu-tanh`"),
            ("model.layers=two", "[model] invalid type: string \"two\""),
            (
                "objective.max_len=129",
                "`objective.max_len` is 129; it must not exceed model.max_positions = 128",
            ),
            ("objective.max_len=2", "`objective.max_len` "),
            ("objective.mask_rate=0", "`objective.mask_rate` is 0; it must lie above 0 and not above 1"),
            ("objective.mask_rate=1.5", "`objective.mask_rate` is 1.5; it must lie above 0 and not above 1"),
            ("objective.mask_rate=nan", "`objective.mask_rate` is NaN; it must lie above 0 and not above 1"),
            ("objective.mask_share=1.5", "`objective.mask_share` is 1.5; with random_share = "),
            ("objective.random_share=0.3", "`objective.mask_share` is 0.8"),
            ("objective.random_share=-0.1", "`objective.random_share` is -0.1; it must lie"),
            ("objective.format=sentences", "[objective] unknown variant `sentences`, expected one of"),
            (
                "objective.masking=never",
                "[objective] unknown variant `never`, expected `static` or `dynamic`",
            ),
            (
                "objective.normaliser=mean",
                "[objective] unknown variant `mean`, expected one of `global`, `group`",
            ),
        ]);
    }

    /// That an exported model, opened again, is what it was.
    pub fn check_reopened(&self, settings: &[&str]) -> Arc<dyn Recipe> {
        let recipe = self.recipe(settings);
        let config = &recipe.exports()[0].config;
        assert_eq!(crate::find_exported(config).unwrap().name, self.family.name, "{settings:?}");
        let again = (self.family.open)(config, "config.json", &self.vocabulary)
            .unwrap_or_else(|error| panic!("{settings:?}: {error}"));
        let (before, after) = (recipe.parameters(), again.parameters());
        let lost: Vec<_> = before.iter().filter(|spec| !after.contains(spec)).collect();
        assert!(lost.is_empty(), "{settings:?}: {lost:?} are lost");
        assert_eq!(before, after, "{settings:?}");
        assert_eq!(again.exports(), recipe.exports(), "{settings:?}");
        assert_eq!(again.hf_tokenizer_config(), recipe.hf_tokenizer_config(), "{settings:?}");
        recipe
    }

    /// That what is no exported model is refused by the name of what it lacks.
    pub fn check_foreign_directory(&self) {
        let open = |config| (self.family.open)(&config, "config.json", &self.vocabulary).err().unwrap();
        let error = open(serde_json::json!({})).to_string();
        assert!(error.starts_with("config.json: missing field `num_hidden_layers`"), "{error}");
        let mut config = self.recipe(&[]).exports()[0].config.clone();
        config["hidden_act"] = "relu".into();
        let error = open(config).to_string();
        assert!(error.starts_with("config.json: `hidden_act` is relu; what is known is gelu"), "{error}");
    }

    /// Which values tensors begin with, and which of them decay. Biases and layer norms are the same
    /// everywhere; `weight` says what the others begin with.
    pub fn check_first_values(&self, settings: &[&str], weight: impl Fn(&str) -> Init) {
        for spec in self.recipe(settings).parameters() {
            let name = spec.name.as_str();
            let is_bias = name.ends_with("bias");
            let is_norm = ["LayerNorm", "layer_norm", "sbo.norm"].iter().any(|norm| name.contains(norm));
            let expected = match (is_bias, is_norm) {
                (true, _) => Init::Zeros,
                (false, true) => Init::Ones,
                (false, false) => weight(name),
            };
            assert_eq!(spec.init, expected, "{name}");
            assert_eq!(spec.decay, !is_bias && !is_norm, "{name}");
            let is_fixed = name == "roberta.embeddings.token_type_embeddings.weight";
            assert_eq!(spec.trained, !is_fixed, "{name}");
            let follows = name.contains(".key.") || name.contains(".value.");
            assert_eq!(spec.stacked, follows, "{name}");
        }
    }
}

/// A configuration file: its name, the size of its vocabulary, the parameters of each model that is exported
/// (and, where they are more, of all that is trained), and the round number of millions that was published.
pub type Published<'a> = (&'a str, u32, &'a [usize], Option<f64>);

/// That the family's configuration files are these, that all their phases are accepted, and how large their
/// models are: within 2 % of the published number, or rounded to it (ELECTRA-small's 13.55 millions are 14).
pub fn check_published(family: Family, published: &[Published<'_>]) {
    let files = files(family.name);
    let found: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(found, published.iter().map(|(name, ..)| *name).collect::<Vec<_>>());
    for ((name, text), &(_, size, sizes, millions)) in files.iter().zip(published) {
        let plan = RunPlan::parse(name, text, &[]).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(plan.model.family, family.name, "{name}");
        for phase in plan.phases() {
            let recipe = (family.parse)(&phase.plan, name, &vocabulary(size));
            let recipe = recipe.unwrap_or_else(|error| panic!("phase {}: {error}", phase.index));
            assert_eq!(counts(&*recipe), sizes, "{name}");
        }
        let count = sizes[0] as f64 / 1e6;
        let near = |millions: f64| (count / millions - 1.0).abs() < 0.02 || count.round() == millions;
        assert!(millions.is_none_or(near), "{name}: {} is not {millions:?} millions", sizes[0]);
    }
}

/// The files `configs/<family>/*.toml` without their ends, and their text, by name.
#[expect(
    clippy::disallowed_methods,
    reason = "the files are the project's own, and a new one must not be missed"
)]
fn files(family: &str) -> Vec<(String, String)> {
    let folder = format!("{}/../../configs/{family}", env!("CARGO_MANIFEST_DIR"));
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<(String, String)> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// The parameters that the first file of each export holds, each counted once; and of all there are, if they
/// are more than the first's.
fn counts(recipe: &dyn Recipe) -> Vec<usize> {
    let specs = recipe.parameters();
    let exported = |tensors: &[crate::ExportTensor]| {
        let names: BTreeSet<&str> = tensors.iter().map(|tensor| tensor.parameter.as_str()).collect();
        let of = |name: &str| specs.iter().find(|spec| spec.name == name).unwrap().len();
        names.into_iter().map(of).sum::<usize>()
    };
    let mut counts: Vec<usize> =
        recipe.exports().iter().map(|export| exported(&export.files[0].tensors)).collect();
    let all: usize = specs.iter().map(|spec| spec.len()).sum();
    counts.extend((all != counts[0]).then_some(all));
    counts
}

/// The sequence before anything was masked.
pub fn restored(example: &Example) -> Vec<u32> {
    let mut ids = example.input_ids.clone();
    for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
        ids[position as usize] = id;
    }
    ids
}

/// That `sample` becomes `original`, masked, whatever is drawn; that targets are ordinary tokens; and that
/// keys decide.
pub fn check_examples(recipe: &dyn Recipe, sample: &Sample, original: &[u32]) -> Vec<Example> {
    let examples: Vec<Example> = (0..300).map(|row| recipe.example(sample, &[], Key::root(row))).collect();
    for (row, example) in (0..).zip(&examples) {
        assert_eq!(restored(example), original);
        assert!(example.target_ids.iter().all(|id| !is_frame(*id)), "{example:?}");
        assert_eq!(*example, recipe.example(sample, &[], Key::root(row)), "the same key");
    }
    assert!(examples.iter().any(|example| *example != examples[0]), "other keys");
    examples
}

/// Whether it stands around segments.
pub fn is_frame(id: u32) -> bool {
    id == SPECIALS.bos || id == SPECIALS.eos
}

/// The positions of each word of a sequence. One that is cut by a separator goes on behind it, as in the
/// originals.
pub fn words(ids: &[u32]) -> Vec<Vec<u32>> {
    let mut words: Vec<Vec<u32>> = Vec::new();
    for (position, &id) in (0..).zip(ids).filter(|(_, id)| !is_frame(**id)) {
        match words.last_mut() {
            Some(word) if !begins_word(id) && id != SPECIALS.unk => word.push(position),
            _ => words.push(vec![position]),
        }
    }
    words
}

/// How many words of a full sample are masked in part, over many samples.
pub fn split_words(recipe: &dyn Recipe, specials: usize) -> usize {
    let is_split = |example: &Example, word: &[u32]| {
        let hits = word.iter().filter(|position| example.target_positions.contains(position)).count();
        hits > 0 && hits < word.len()
    };
    let in_row = |row| {
        let example = recipe.example(&full_sample(specials - 1, specials, row), &[], Key::root(row));
        words(&restored(&example)).iter().filter(|word| is_split(&example, word)).count()
    };
    (0..200).map(in_row).sum()
}

/// What became of the targets of many samples.
#[derive(Debug, Default)]
pub struct Fates {
    /// Tokens, special ones included.
    pub tokens: f64,
    /// Targets.
    pub targets: f64,
    /// Of the targets that were drawn once: those that are the mask token, another token, the same token.
    pub fates: [f64; 3],
    /// The sum of the squared sizes of what shares a fate: as many as there are targets if each has its own.
    squares: f64,
}

impl Fates {
    /// Of more than a million tokens in full samples of that many segments. `neighbours` are what random
    /// tokens may be drawn from; `shared` says whether targets that touch share a fate.
    pub fn of(
        recipe: &dyn Recipe,
        segments: usize,
        specials: usize,
        neighbours: &[u32],
        shared: bool,
    ) -> Self {
        let mut fates = Fates::default();
        for row in 0..8_000 {
            let sample = full_sample(segments, specials, row);
            let example = recipe.example(&sample, neighbours, Key::root(1).index(row));
            assert_eq!(example.input_ids.len(), MAX_LEN);
            fates.tokens += MAX_LEN as f64;
            fates.targets += example.target_ids.len() as f64;
            fates.count(&example, shared);
        }
        assert!(fates.tokens > 1e6);
        fates
    }

    fn count(&mut self, example: &Example, shared: bool) {
        let times = |position| example.target_positions.iter().filter(|&&other| other == position).count();
        for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
            if times(position) == 1 {
                let now = example.input_ids[position as usize];
                self.fates[if now == SPECIALS.mask { 0 } else { 1 + usize::from(now == id) }] += 1.0;
            }
        }
        let runs = example.target_positions.chunk_by(|a, b| shared && a + 1 == *b);
        self.squares += runs.map(|run| (run.len() as f64).powi(2)).sum::<f64>();
    }

    /// That the shares are these, within three standard deviations of their sums.
    pub fn check(&self, expected: [f64; 3]) {
        for (found, share) in self.fates.iter().zip(expected) {
            let deviation = (share * (1.0 - share) * self.squares).sqrt();
            let wanted = share * self.fates.iter().sum::<f64>();
            assert!((found - wanted).abs() <= 3.0 * deviation, "{found} of {wanted}: {self:?}");
        }
    }
}
