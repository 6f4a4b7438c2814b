//! Every refusal, word for word: place, key and remedy.

use super::{PHASES, TEXT, phased, read};

/// What is said when `from` is replaced by `to`.
fn refused(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    read(&text.replacen(from, to, 1), &[]).unwrap_err().to_string()
}

fn all(text: &str, cases: &[(&str, &str, &str)]) {
    for (from, to, expected) in cases {
        assert_eq!(refused(text, from, to), *expected);
    }
}

#[test]
fn mistakes_name_file_line_key_and_remedy() {
    let lines = [
        (
            "warmup_steps",
            "warmup_step",
            "test.toml:24: unknown key `warmup_step`; did you mean `warmup_steps`?",
        ),
        ("[schedule]", "[shedule]", "test.toml:23: unknown key `shedule`; did you mean `schedule`?"),
        (
            "\"test\"",
            "\"a test\"",
            "test.toml:3: `run.name` must be made of letters, digits, '-', '_' and '.'",
        ),
        ("lanes = 8", "lanes = 6", "test.toml:7: `data.lanes` is 6; it must be a power of two up to 65536"),
        ("lanes = 8", "window = 0", "test.toml:7: `data.window` must be at least 1"),
        ("lanes = 8", "variants = 0", "test.toml:7: `data.variants` must be at least 1"),
        ("steps = 100", "steps = 0", "test.toml:14: `train.steps` must be at least 1"),
        ("steps = 100\n", "", "test.toml:13: `train.steps` is missing: it is the number of steps of the run"),
        (
            "steps = 100",
            "steps = 4_294_967_296",
            "test.toml:14: `train.steps` is 4294967296; a run has at most 4294967295 steps",
        ),
        ("[train]", "[train]\nthreads = 0", "test.toml:14: `train.threads` must be at least 1"),
        (
            "[train]",
            "[train]\nclip_norm = -1.0",
            "test.toml:14: `train.clip_norm` must be 0 (off) or a positive number",
        ),
        (
            "batch = 64",
            "batch = 60",
            "test.toml:15: `train.batch` is 60; it must be a multiple of train.micro_batch = 8",
        ),
    ];
    all(TEXT, &lines);
    assert!(refused(TEXT, "steps = 100", "steps = \"x\"").starts_with("test.toml:14: "));
    assert!(refused(TEXT, "[train]", "[train").starts_with("test.toml:13: "));
    assert_eq!(
        refused(TEXT, "layers = 2", "init_from = 3"),
        "test.toml:10: invalid type: integer `3`, expected a string"
    );
    assert_eq!(
        refused(TEXT, "[train]", "[train]\nprecision = \"fp16\""),
        "test.toml:14: unknown variant `fp16`, expected `fp32` or `bf16`"
    );
}

#[test]
fn optimizers_and_schedules_that_cannot_be() {
    let always = "is a choice of lamb only: this kind always corrects; leave the key out";
    let never = "is a choice of lamb only: this kind never corrects; leave the key out";
    let cases = [
        ("6e-4", "0.0", "test.toml:19: `optimizer.peak_learning_rate` must be a positive number".to_owned()),
        ("0.98", "1.0", "test.toml:20: `optimizer.betas` must both be at least 0 and below 1".to_owned()),
        (
            "1e-6",
            "0.0",
            "test.toml:21: `optimizer.epsilon` must not be negative, and epsilon not 0".to_owned(),
        ),
        (
            "0.01",
            "-0.01",
            "test.toml:22: `optimizer.weight_decay` must not be negative, and epsilon not 0".to_owned(),
        ),
        (
            "kind = \"fairseq-adam\"",
            "kind = \"fairseq-adam\"\nbias_correction = true",
            format!("test.toml:19: `optimizer.bias_correction` {always}"),
        ),
        (
            "kind = \"fairseq-adam\"",
            "kind = \"adam-w\"\nbias_correction = false",
            format!("test.toml:19: `optimizer.bias_correction` {always}"),
        ),
        (
            "kind = \"fairseq-adam\"",
            "kind = \"bert-adam\"\nbias_correction = true",
            format!("test.toml:19: `optimizer.bias_correction` {never}"),
        ),
        (
            "steps = 100",
            "steps = 5",
            "test.toml:24: `schedule.warmup_steps` is 10, longer than the run (train.steps = 5)".to_owned(),
        ),
        (
            "[schedule]",
            "[schedule]\nend_learning_rate = 6e-4",
            "test.toml:24: `schedule.end_learning_rate` is 0.0006; it must be at least 0 and below \
             optimizer.peak_learning_rate = 0.0006"
                .to_owned(),
        ),
        (
            "[schedule]",
            "[schedule]\nend_learning_rate = -1e-9",
            "test.toml:24: `schedule.end_learning_rate` is -0.000000001; it must be at least 0 and below \
             optimizer.peak_learning_rate = 0.0006"
                .to_owned(),
        ),
        (
            "[schedule]",
            "[schedule]\nkind = \"constant\"\nend_learning_rate = 1e-9",
            "test.toml:25: `schedule.end_learning_rate` means nothing to a constant schedule; leave the key \
             out, or take a linear kind"
                .to_owned(),
        ),
    ];
    for (from, to, expected) in cases {
        assert_eq!(refused(TEXT, from, to), expected);
    }
    assert!(read(&TEXT.replace("fairseq-adam\"", "lamb\"\nbias_correction = false"), &[]).is_ok());
}

#[test]
fn batches_that_cannot_grow() {
    let train = |keys: &str| refused(TEXT, "[train]", &format!("[train]\n{keys}"));
    assert_eq!(
        train("batch_start = 8"),
        "test.toml:14: `train.batch_start` is 8, but nothing grows: give train.batch_warmup_steps as well"
    );
    assert_eq!(
        train("batch_warmup_steps = 10"),
        "test.toml:13: `train.batch_start` is missing: it is the number of sequences in the first step"
    );
    for start in [0, 65] {
        assert_eq!(
            train(&format!("batch_warmup_steps = 10\nbatch_start = {start}")),
            format!(
                "test.toml:15: `train.batch_start` is {start}; it must lie between 1 and train.batch = 64"
            )
        );
    }
    assert_eq!(
        train("batch_warmup_steps = 101\nbatch_start = 8"),
        "test.toml:14: `train.batch_warmup_steps` is 101, longer than the run (train.steps = 100)"
    );
}

#[test]
fn the_other_sections() {
    let with = |more: &str| refused(TEXT, "[schedule]", &format!("{more}\n[schedule]"));
    assert_eq!(with("[checkpoint]\nevery = 0"), "test.toml:24: `checkpoint.every` must be at least 1");
    assert_eq!(with("[checkpoint]\nkeep = 0"), "test.toml:24: `checkpoint.keep` must be at least 1");
    assert!(with("[checkpoint]\nkeep_best = 1").contains("needs [evaluation]"));
    let uneven =
        with("[checkpoint]\nevery = 10\nkeep_best = 1\n[evaluation]\ndataset = \"held\"\nevery = 15");
    assert!(uneven.contains("evaluation.every = 15"), "{uneven}");
    assert_eq!(
        with("[cluster]\nmin_workers = 9"),
        "test.toml:24: `cluster.min_workers` is 9; it must lie between 1 and data.lanes = 8"
    );
    assert_eq!(
        with("[cluster]\ndead_after_ms = 999"),
        "test.toml:24: `cluster.dead_after_ms` is 999; it must be at least twice cluster.heartbeat_ms"
    );
    assert_eq!(
        with("[guards.spike]\nwindow = 10001"),
        "test.toml:24: `guards.spike.window` is 10001; it must lie between 2 and 10000"
    );
    assert_eq!(with("[guards.spike]\nskip = 0"), "test.toml:24: `guards.spike.skip` must be at least 1");
    assert_eq!(
        with("[guards.spike]\ndeviations = 0.0"),
        "test.toml:24: `guards.spike.deviations` is 0; it must be above 0"
    );
    assert_eq!(
        with("[data.weights]\nwiki = 1\nnews = 51"),
        "test.toml:25: `data.weights.news` is 51; it says how often an epoch takes a document: between 0 and 50"
    );
    let evaluation = |keys: &str| with(&format!("[evaluation]\n{keys}"));
    assert_eq!(evaluation("every = 3"), "test.toml:23: missing field `dataset`");
    assert_eq!(
        evaluation("dataset = \"x\"\nevery = 0"),
        "test.toml:25: `evaluation.every` must be at least 1"
    );
    assert_eq!(
        evaluation("dataset = \"x\"\nsequences = 0"),
        "test.toml:25: `evaluation.sequences` must be at least 1"
    );
    assert_eq!(
        evaluation("dataset = \"x\"\nsequence = 1"),
        "test.toml:25: unknown key `sequence`; did you mean `sequences`?"
    );
}

#[test]
fn phases_that_cannot_be() {
    let text = phased();
    let cases = [
        (
            "train.batch = 32",
            "train.batches = 32",
            "test.toml:30: unknown key `phase.1.train.batches`; did you mean `phase.1.train.batch`?",
        ),
        (
            "train.batch = 32",
            "train.threads = 2",
            "test.toml:30: unknown key `phase.1.train.threads`; known here: steps, batch, micro_batch, \
             batch_warmup_steps, batch_start, clip_norm, gradient_checkpointing",
        ),
        (
            "train.batch = 32",
            "data.dataset = \"x\"",
            "test.toml:30: unknown key `phase.1.data.dataset`; known here: variants",
        ),
        (
            "train.batch = 32",
            "shedule.warmup_steps = 1",
            "test.toml:30: unknown key `phase.1.shedule`; did you mean `phase.1.schedule`?",
        ),
        (
            "train.batch = 32",
            "train.batch = 30",
            "test.toml:30: `phase.1.train.batch` is 30; it must be a multiple of train.micro_batch = 4",
        ),
        (
            "train.batch = 32\ntrain.micro_batch = 4",
            "train.micro_batch = 5",
            "test.toml:15: `train.batch` is 64; it must be a multiple of train.micro_batch = 5 (in phase 1)",
        ),
    ];
    all(&text, &cases);
    for section in ["run.seed", "model.layers", "checkpoint.every", "cluster.min_workers", "evaluation.every"]
    {
        let name = section.split('.').next().unwrap();
        let said = refused(&text, "train.batch = 32", &format!("{section} = 1"));
        let known = format!(
            "test.toml:30: unknown key `phase.1.{name}`; known here: train, objective, optimizer, schedule, \
             data"
        );
        assert_eq!(said, known);
    }
    let wrong_type = refused(&text, "train.batch = 32", "train.batch = true");
    assert!(wrong_type.starts_with("test.toml:30: invalid type: boolean `true`"), "{wrong_type}");
}

#[test]
fn steps_of_phases_that_cannot_be() {
    let cases = [
        ("train.steps = 90", "train.steps = 0", "test.toml:26: `phase.0.train.steps` must be at least 1"),
        (
            "train.steps = 90\n",
            "",
            "test.toml:25: `phase.0.train.steps` is missing: it is the number of steps of the phase",
        ),
        (
            "train.steps = 90\n",
            "train.clip_norm = 1.0\n",
            "test.toml:26: `phase.0.train.steps` is missing: it is the number of steps of the phase",
        ),
        (
            "train.steps = 90",
            "train.steps = 5_000_000_000",
            "test.toml:26: `phase.0.train.steps` is 5000000000; a run has at most 4294967295 steps",
        ),
        (
            "train.steps = 90",
            "train.steps = 4_294_967_295",
            "test.toml:13: `train.steps` is 4294967315; a run has at most 4294967295 steps",
        ),
        (
            "# no steps",
            "steps = 110",
            "test.toml:14: `train.steps` belongs in the phases: every [[phase]] says its own train.steps, \
             and the run is their sum",
        ),
        (
            "# no steps",
            "batch_warmup_steps = 5",
            "test.toml:14: `train.batch_warmup_steps` belongs in the [[phase]] whose batch grows",
        ),
        (
            "# no steps",
            "batch_start = 5",
            "test.toml:14: `train.batch_start` belongs in the [[phase]] whose batch grows",
        ),
    ];
    all(&phased(), &cases);
    let endless = "[[phase]]\ntrain.steps = 9_223_372_036_854_775_807\n".repeat(3);
    assert_eq!(
        refused(&phased(), PHASES, &endless),
        "test.toml:26: `phase.0.train.steps` is 9223372036854775807; a run has at most 4294967295 steps"
    );
}

#[test]
fn numbers_of_a_phase_that_cannot_be() {
    let text = phased();
    let in_second = |keys: &str| refused(&text, "train.batch = 32", &format!("train.batch = 32\n{keys}"));
    for (keys, expected) in [
        ("data.variants = 0", "`phase.1.data.variants` must be at least 1"),
        ("train.clip_norm = nan", "`phase.1.train.clip_norm` must be 0 (off) or a positive number"),
        (
            "train.batch_start = 4",
            "`phase.1.train.batch_start` is 4, but nothing grows: give train.batch_warmup_steps as well",
        ),
        (
            "optimizer.bias_correction = false",
            "`phase.1.optimizer.bias_correction` is a choice of lamb only: this kind always corrects; leave \
             the key out",
        ),
        (
            "schedule.warmup_steps = 21",
            "`phase.1.schedule.warmup_steps` is 21, longer than the phase (train.steps = 20)",
        ),
        (
            "schedule.end_learning_rate = 1.0",
            "`phase.1.schedule.end_learning_rate` is 1; it must be at least 0 and below \
             optimizer.peak_learning_rate = 0.0006",
        ),
    ] {
        assert_eq!(in_second(keys), format!("test.toml:31: {expected}"));
    }
    assert_eq!(
        in_second("train.batch_warmup_steps = 5"),
        "test.toml:29: `phase.1.train.batch_start` is missing: it is the number of sequences in the first \
         step"
    );
    // A warm-up of the base is longer than a phase that has a schedule of its own, and than no other.
    assert_eq!(
        refused(&text, "train.steps = 20", "train.steps = 9\noptimizer.peak_learning_rate = 1e-4"),
        "test.toml:24: `schedule.warmup_steps` is 10, longer than the phase (train.steps = 9) (in phase 1)"
    );
    assert!(read(&text.replace("train.steps = 20", "train.steps = 9"), &[]).is_ok());
    // The keys of a phase may stand below headers as well.
    let headers = "[[phase]]\n[phase.train]\nsteps = 1\n[[phase]]\n[phase.train]\nsteps = 1\nbatch = 9\n";
    assert_eq!(
        read(&text.replace(PHASES, headers), &["schedule.warmup_steps=0"]).unwrap_err().to_string(),
        "test.toml:31: `phase.1.train.batch` is 9; it must be a multiple of train.micro_batch = 8"
    );
}

#[test]
fn settings_that_cannot_be() {
    let two = phased();
    let one = two.replace("[[phase]]\ntrain.steps = 90\nobjective.max_len = 128\n", "");
    for (text, pair, expected) in [
        (TEXT, "steps", "expected key=value, as in train.steps=100"),
        (TEXT, "steps=3", "expected section.key=value"),
        (TEXT, "train.stepz=7", "unknown key `stepz`; did you mean `steps`?"),
        (TEXT, "train.steps.x=7", "`steps` is not a section"),
        (TEXT, "train.batch=60", "`train.batch` is 60; it must be a multiple of train.micro_batch = 8"),
        (TEXT, "phase.0.train.steps=7", "there is no phase.0; the configuration has none"),
        (&one, "phase.1.train.steps=7", "there is no phase.1; the configuration has only phase.0"),
        (&two, "phase.2.train.steps=7", "there is no phase.2; the configuration has phase.0 to phase.1"),
        (&two, "phase.train.steps=7", "`phase` is a list; say which one, as in phase.0.train.steps"),
        (&two, "phase.0=7", "expected section.key=value"),
        (
            &two,
            "phase.0.train.step=7",
            "unknown key `phase.0.train.step`; did you mean `phase.0.train.steps`?",
        ),
        (&two, "phase.0.data.lanes=8", "unknown key `phase.0.data.lanes`; known here: variants"),
        (&two, "phase.0.train.steps=0", "`phase.0.train.steps` must be at least 1"),
        (
            &two,
            "train.steps=100",
            "`train.steps` belongs in the phases: every [[phase]] says its own train.steps, and the run is \
             their sum",
        ),
    ] {
        let message = read(text, &[pair]).unwrap_err().to_string();
        assert_eq!(message, format!("--set {pair}: {expected}"));
    }
}
