//! Samples as a model sees them: pieces, masks, segments and what is asked. Knows a recipe, no network: what a generator
//! would put in place of masks is not shown.

use families::{Example, Recipe};
use plan::{Key, Permutation, RunPlan};
use serde_json::{Value, json};
use store::{Dataset, PackedBlock};

use crate::failure::Failure;

/// One token of a sample.
#[derive(Debug)]
pub struct SeenToken {
    /// What the model reads.
    pub token: String,
    /// What it shall answer, if it is asked.
    pub target: Option<String>,
    /// The segment, 0 or 1.
    pub segment: u8,
}

/// A sample with its masks.
#[derive(Debug)]
pub struct SeenSample {
    /// The block that it is from.
    pub block: usize,
    /// Which of the block's samples it is.
    pub index: usize,
    /// Its tokens, special ones included.
    pub tokens: Vec<SeenToken>,
    /// The class of its pair, if the model is asked: 0 as in the text, 1 not.
    pub relation: Option<u32>,
    /// Targets that are guessed from the ends of their span: left, right, place, token.
    pub span_targets: Vec<(u32, u32, u32, String)>,
}

/// The recipe of a family with its own settings, for samples of `max_len` tokens.
///
/// # Errors
/// If there is no such family.
pub fn own_recipe(
    family: &str,
    max_len: u32,
    dataset: &Dataset,
) -> Result<std::sync::Arc<dyn Recipe>, Failure> {
    let text = format!(
        "[run]\nname = \"inspect\"\n[data]\ndataset = \"-\"\n\
         [model]\nfamily = \"{family}\"\nlayers = 1\nhidden = 256\nheads = 4\nmax_positions = {max_len}\n\
         [objective]\nmax_len = {max_len}\n[train]\nsteps = 1\nbatch = 1\nmicro_batch = 1\n\
         [optimizer]\nkind = \"adam-w\"\npeak_learning_rate = 1.0\nbetas = [0.9, 0.999]\nepsilon = 1e-6\n\
         weight_decay = 0.0\n"
    );
    let plan = RunPlan::parse("--family", &text, &[])?;
    let family = families::find(family)?;
    Ok((family.parse)(&plan, "--family", &dataset.vocabulary())?)
}

/// `count` samples that are drawn by chance, masked as in an epoch of the first phase of a run with this seed.
///
/// # Errors
/// If the dataset cannot be read.
pub async fn seen(
    dataset: &Dataset,
    recipe: &dyn Recipe,
    count: usize,
    epoch: u64,
    variant: u32,
    seed: u64,
) -> Result<Vec<SeenSample>, Failure> {
    let tokenizer = dataset.tokenizer().await?;
    let spelled = |id: u32| tokenizer.token(id).unwrap_or_else(|| format!("#{id}"));
    let blocks = Permutation::new(dataset.blocks() as u64, Key::root(seed).named("inspect"));
    let each = count.div_ceil(dataset.blocks().max(1)).max(1);
    let masks = Key::root(seed).named("mask");
    let masks = masks.index(if recipe.static_masks() { u64::from(variant) } else { epoch });
    let mut shown = Vec::new();
    for turn in 0..blocks.len() {
        if shown.len() >= count {
            break;
        }
        let number = blocks.apply(turn) as usize;
        let block = PackedBlock::new(dataset.block(number).await?, &recipe.pack_spec(), variant);
        let order =
            Permutation::new(block.len() as u64, Key::root(seed).named("samples").index(number as u64));
        for turn in (0..order.len()).take(each.min(count - shown.len())) {
            let index = order.apply(turn) as usize;
            let key = masks.index(number as u64).index(index as u64);
            let example = recipe.example(&block.sample(index), block.ids(), key);
            shown.push(sample(number, index, &example, spelled));
        }
    }
    Ok(shown)
}

fn sample(block: usize, index: usize, example: &Example, spelled: impl Fn(u32) -> String) -> SeenSample {
    let second = example.second_segment.unwrap_or(u32::MAX) as usize;
    let mut tokens: Vec<SeenToken> = example
        .input_ids
        .iter()
        .enumerate()
        .map(|(position, &id)| SeenToken {
            token: spelled(id),
            target: None,
            segment: u8::from(position >= second),
        })
        .collect();
    for (&position, &id) in example.target_positions.iter().zip(&example.target_ids) {
        tokens[position as usize].target = Some(spelled(id));
    }
    let span = |target: &families::SpanTarget| (target.left, target.right, target.offset, spelled(target.id));
    let span_targets = example.span_targets.iter().map(span).collect();
    SeenSample { block, index, tokens, relation: example.relation, span_targets }
}

impl SeenSample {
    /// The sample for scripts.
    pub fn json(&self) -> Value {
        let token = |seen: &SeenToken| {
            let SeenToken { token, target, segment } = seen;
            json!({"token": token, "target": target, "segment": segment})
        };
        let span = |target: &(u32, u32, u32, String)| {
            let (left, right, place, token) = target;
            json!({"left": left, "right": right, "place": place, "token": token})
        };
        json!({
            "block": self.block, "index": self.index, "relation": self.relation,
            "tokens": self.tokens.iter().map(token).collect::<Vec<_>>(),
            "span_targets": self.span_targets.iter().map(span).collect::<Vec<_>>(),
        })
    }
}

/// Prints a sample: `token` as it is read, `token‹original›` where it is to be guessed.
pub fn print(sample: &SeenSample) {
    let relation = match sample.relation {
        Some(0) => ", the segments stand as in the text (class 0)",
        Some(_) => ", the segments do not stand as in the text (class 1)",
        None => "",
    };
    println!("── block {}, sample {}{relation}", sample.block, sample.index);
    let mut segment = 0;
    let mut line = Vec::new();
    for token in &sample.tokens {
        if token.segment != segment {
            segment = token.segment;
            println!("{}", std::mem::take(&mut line).join(" "));
        }
        line.push(match &token.target {
            Some(original) => format!("{}‹{original}›", token.token),
            None => token.token.clone(),
        });
    }
    println!("{}", line.join(" "));
    for (left, right, place, token) in &sample.span_targets {
        println!("   {token}: token {place} between positions {left} and {right}");
    }
    println!();
}
