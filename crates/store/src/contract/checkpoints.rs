//! A checkpoint is there as a whole or not at all, damage is found and named, and no crash loses the last
//! good one.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use bytes::Bytes;

use super::faulty::Faulty;
use super::retention::newest;
use super::{append, checkpoint, claim, cut, everywhere, flip, parts, path, state};
use crate::{
    CheckpointManifest, CheckpointState, Location, PartName, RunStore, StoreError, Tensor, TensorInfo,
    TensorSource, Term,
};

pub(super) async fn started(run: &RunStore) -> Term {
    run.claim(&claim("recipe")).await.unwrap()
}

async fn loaded(run: &RunStore, manifest: &CheckpointManifest) -> Result<Vec<Tensor>, StoreError> {
    let mut tensors = Vec::new();
    let take = |tensor| -> Result<(), StoreError> {
        tensors.push(tensor);
        Ok(())
    };
    run.checkpoints().load_into(manifest, take).await?;
    tensors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(tensors)
}

/// The step that a resumed run would take, and the reasons for passing over others.
pub(super) async fn resumed(run: &RunStore) -> (Option<u64>, Vec<String>) {
    let newest = run.checkpoints().newest_verified().await.unwrap();
    (newest.manifest.map(|m| m.step), newest.skipped.iter().map(ToString::to_string).collect())
}

#[tokio::test]
async fn what_any_number_wrote_comes_back_to_the_bit() {
    everywhere(async |run| {
        let term = started(&run).await;
        for of in [1, 2, 3, 7] {
            let manifest = checkpoint(&run, term, u64::from(of), of).await;
            assert_eq!(run.checkpoints().manifest(u64::from(of)).await.unwrap(), manifest);
            assert_eq!(loaded(&run, &manifest).await.unwrap(), state(u64::from(of)));
            let named: BTreeSet<_> = manifest.parts.iter().flat_map(|part| part.tensors.clone()).collect();
            assert_eq!(named, state(1).into_iter().map(|tensor| tensor.name).collect());
        }
    })
    .await;
}

#[tokio::test]
async fn a_part_larger_than_one_request_comes_back_to_the_bit() {
    everywhere(async |run| {
        let (term, values) = (started(&run).await, 18 << 20);
        let bytes: Vec<u8> = (0..values as u32).flat_map(u32::to_le_bytes).collect();
        let small = Tensor { name: "a".into(), shape: vec![], bytes: vec![1; 4].into() };
        let large = Tensor { name: "b".into(), shape: vec![values], bytes: bytes.into() };
        let tensors = vec![small, large];
        let part = run
            .checkpoints()
            .write_part(5, PartName { index: 0, of: 1 }, tensors.clone(), true)
            .await
            .unwrap();
        let manifest = CheckpointManifest { parts: vec![part], ..parts(&run, term, 9, 1).await };
        run.checkpoints().commit(&CheckpointManifest { step: 5, ..manifest.clone() }).await.unwrap();
        run.checkpoints().verify(&CheckpointManifest { step: 5, ..manifest.clone() }).await.unwrap();
        assert_eq!(run.checkpoints().read_part(5, &manifest.parts[0]).await.unwrap(), tensors);
    })
    .await;
}

/// A tensor of so many bytes that can be read so many times.
struct Fading {
    bytes: usize,
    reads: AtomicI64,
}

impl TensorSource for Fading {
    fn tensors(&self) -> Vec<TensorInfo> {
        vec![TensorInfo { name: "w".into(), shape: vec![self.bytes / 4], bytes: self.bytes }]
    }

    fn read(&self, tensor: usize, range: Range<usize>) -> Result<Bytes, String> {
        assert!(tensor == 0 && range.end <= self.bytes && range.len() <= 1 << 20, "{tensor} {range:?}");
        let left = self.reads.fetch_sub(1, Ordering::SeqCst) > 0;
        if left { Ok(vec![7; range.len()].into()) } else { Err("these weights are gone".into()) }
    }
}

#[tokio::test]
async fn a_part_whose_tensors_go_away_meanwhile_leaves_nothing() {
    everywhere(async |run| {
        started(&run).await;
        // Small and large parts, which are read once to be hashed and once to be stored.
        for (bytes, reads) in [(4, 0), (4, 1), (40 << 20, 7), (40 << 20, 45), (40 << 20, 79)] {
            let source = Fading { bytes, reads: AtomicI64::new(reads) };
            let only = PartName { index: 0, of: 1 };
            let error = run.checkpoints().write_part(3, only, source, true).await.unwrap_err();
            assert!(matches!(&error, StoreError::Invalid(reason) if reason.contains("gone")), "{error}");
            assert_eq!(run.location().list("checkpoints").await.unwrap(), [], "{bytes} bytes, {reads} reads");
            let source =
                Fading { bytes, reads: AtomicI64::new(2 * (bytes as i64).div_euclid(1 << 20).max(1)) };
            run.checkpoints().write_part(3, only, source, true).await.unwrap();
            run.location().delete(&path(3, &only.to_string())).await.unwrap();
        }
    })
    .await;
}

/// A tensor that tells of every read, and is read when it is allowed.
struct Watched {
    reads: mpsc::Sender<usize>,
    allowed: Mutex<mpsc::Receiver<()>>,
}

impl TensorSource for Watched {
    fn tensors(&self) -> Vec<TensorInfo> {
        vec![TensorInfo { name: "w".into(), shape: vec![10 << 20], bytes: 40 << 20 }]
    }

    fn read(&self, _: usize, range: Range<usize>) -> Result<Bytes, String> {
        self.reads.send(range.start).map_err(|error| error.to_string())?;
        self.allowed.lock().unwrap().recv().map_err(|error| error.to_string())?;
        Ok(vec![7; range.len()].into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_whose_upload_was_given_up_is_not_hashed_to_its_end() {
    let run = RunStore::at(Location::memory());
    started(&run).await;
    let ((reads, read), (allow, allowed)) = (mpsc::channel(), mpsc::channel());
    let (source, checkpoints) = (Watched { reads, allowed: Mutex::new(allowed) }, run.checkpoints());
    let only = PartName { index: 0, of: 1 };
    let storing = tokio::spawn(async move { checkpoints.write_part(3, only, source, true).await });
    (0..3).for_each(|_| allow.send(()).unwrap());
    let first: Vec<usize> = (0..4).map(|_| read.recv().unwrap()).collect();
    assert_eq!(first, [0, 1 << 20, 2 << 20, 3 << 20]);
    storing.abort();
    assert!(storing.await.unwrap_err().is_cancelled());
    for _ in 0..100 {
        let _ = allow.send(());
    }
    // Its source is gone with the piece that was being read.
    assert_eq!(read.iter().count(), 0);
}

#[tokio::test]
async fn nothing_is_visible_before_the_manifest() {
    everywhere(async |run| {
        let term = started(&run).await;
        let manifest = parts(&run, term, 10, 2).await;
        assert_eq!(run.checkpoints().list().await.unwrap()[0].state, CheckpointState::Unfinished);
        assert_eq!(resumed(&run).await, (None, vec![]));
        assert!(matches!(run.checkpoints().manifest(10).await, Err(StoreError::NotFound { .. })));

        run.location().delete(&path(10, &manifest.parts[1].name)).await.unwrap();
        let error = run.checkpoints().commit(&manifest).await.unwrap_err();
        assert!(error.to_string().contains("part-0001-of-0002.safetensors is missing"), "{error}");
        let manifest = parts(&run, term, 10, 2).await;
        cut(&run, &path(10, &manifest.parts[0].name), 20).await;
        let error = run.checkpoints().commit(&manifest).await.unwrap_err();
        assert!(error.to_string().contains("part-0000-of-0002.safetensors has 20 bytes"), "{error}");
        assert_eq!(resumed(&run).await, (None, vec![]));

        checkpoint(&run, term, 10, 2).await;
        assert_eq!(resumed(&run).await, (Some(10), vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_manifest_that_leaves_parts_out_is_refused() {
    let run = RunStore::at(Location::memory());
    let manifest = parts(&run, Term(1), 10, 3).await;
    let with = |parts| CheckpointManifest { parts, ..manifest.clone() };
    let [a, b, c] = [0, 1, 2].map(|n| manifest.parts[n].clone());
    for bad in [vec![], vec![a.clone(), b.clone()], vec![a.clone(), a.clone(), c.clone()], vec![b, a, c]] {
        let refused = run.checkpoints().commit(&with(bad)).await;
        assert!(matches!(refused, Err(StoreError::Invalid(_))), "{refused:?}");
    }
    run.checkpoints().commit(&manifest).await.unwrap();
}

#[tokio::test]
async fn a_flipped_bit_in_any_part_is_found_and_the_part_named() {
    everywhere(async |run| {
        let term = started(&run).await;
        checkpoint(&run, term, 10, 2).await;
        let newer = checkpoint(&run, term, 20, 3).await;
        for part in &newer.parts {
            let file = path(20, &part.name);
            for bit in [0, 8 * 8, 4 * part.size as usize, 8 * part.size as usize - 1] {
                flip(&run, &file, bit).await;
                let (step, skipped) = resumed(&run).await;
                assert_eq!(step, Some(10), "bit {bit} of {file}");
                assert!(skipped.len() == 1 && skipped[0].contains(&part.name), "{skipped:?}");
                let error = run.checkpoints().read_part(20, part).await.unwrap_err();
                assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
                assert!(loaded(&run, &newer).await.is_err());
                flip(&run, &file, bit).await;
            }
        }
        assert_eq!(resumed(&run).await, (Some(20), vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_missing_or_short_part_makes_the_checkpoint_not_whole() {
    everywhere(async |run| {
        let term = started(&run).await;
        checkpoint(&run, term, 10, 1).await;
        let newer = checkpoint(&run, term, 20, 2).await;
        let file = path(20, &newer.parts[1].name);
        for reason in ["bytes instead of", "is missing"] {
            if reason == "is missing" {
                run.location().delete(&file).await.unwrap();
            } else {
                cut(&run, &file, 9).await;
            }
            let newest = run.checkpoints().newest().await.unwrap();
            assert_eq!(newest.manifest.unwrap().step, 10);
            let said = newest.skipped[0].to_string();
            assert!(said.contains(&newer.parts[1].name) && said.contains(reason), "{said}");
            assert!(matches!(run.checkpoints().verify(&newer).await, Err(StoreError::Damaged { .. })));
        }
    })
    .await;
}

#[tokio::test]
async fn any_damage_to_a_manifest_is_found_and_named() {
    let run = RunStore::at(Location::memory());
    checkpoint(&run, Term(1), 10, 1).await;
    checkpoint(&run, Term(1), 20, 2).await;
    let name = path(20, "manifest.json");
    let whole = run.location().get(&name).await.unwrap();
    let skips = async |what: String| {
        let newest = run.checkpoints().newest().await.unwrap();
        assert_eq!(newest.manifest.unwrap().step, 10, "{what}");
        assert!(newest.skipped[0].to_string().contains("step 20 skipped: manifest.json"), "{what}");
    };
    for size in 0..whole.len() {
        cut(&run, &name, size).await;
        skips(format!("{size} bytes")).await;
        run.location().put(&name, whole.clone()).await.unwrap();
    }
    for bit in 0..whole.len() * 8 {
        flip(&run, &name, bit).await;
        skips(format!("bit {bit}")).await;
        flip(&run, &name, bit).await;
    }
    let other = run.location().get(&path(10, "manifest.json")).await.unwrap();
    run.location().put(&name, other).await.unwrap();
    skips("the manifest of another step".into()).await;
}

#[tokio::test]
async fn a_checkpoint_of_another_format_is_not_passed_over() {
    for version in [CheckpointManifest::FORMAT - 1, CheckpointManifest::FORMAT + 1] {
        let run = RunStore::at(Location::memory());
        checkpoint(&run, Term(1), 10, 1).await;
        let other = CheckpointManifest { version, ..parts(&run, Term(1), 20, 1).await };
        run.location().put(&path(20, "manifest.json"), other.seal()).await.unwrap();
        let error = run.checkpoints().newest_verified().await.unwrap_err();
        let named = error.to_string().contains(&format!("format {version}"));
        assert!(error.is_bad_input() && named, "{error}");
    }
}

#[tokio::test]
async fn committing_again_is_no_error_but_another_state_is() {
    everywhere(async |run| {
        let term = started(&run).await;
        let manifest = checkpoint(&run, term, 10, 2).await;
        run.checkpoints().commit(&manifest).await.unwrap();
        // The step was computed again after a roll-back, by other workers, to the same state.
        let again = CheckpointManifest { ledger_head: "later".into(), ..parts(&run, term, 10, 3).await };
        run.checkpoints().commit(&again).await.unwrap();
        assert_eq!(run.checkpoints().manifest(10).await.unwrap(), manifest);

        let other = CheckpointManifest { state_digest: "other".into(), ..manifest.clone() };
        let fenced = run.checkpoints().commit(&other).await;
        assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");

        let next = parts(&run, term, 20, 1).await;
        run.claim(&claim("recipe")).await.unwrap();
        let fenced = run.checkpoints().commit(&next).await;
        assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
        assert_eq!(resumed(&run).await, (Some(10), vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_stale_worker_cannot_spoil_a_committed_part_and_a_good_one_heals_it() {
    everywhere(async |run| {
        let term = started(&run).await;
        let manifest = checkpoint(&run, term, 10, 1).await;
        let only = PartName { index: 0, of: 1 };
        let stale = run.checkpoints().write_part(10, only, state(11), true).await;
        assert!(matches!(stale, Err(StoreError::Fenced { .. })), "{stale:?}");
        run.checkpoints().verify(&manifest).await.unwrap();

        flip(&run, &path(10, &manifest.parts[0].name), 999).await;
        run.checkpoints().write_part(10, only, state(10), true).await.unwrap();
        assert_eq!(resumed(&run).await, (Some(10), vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_damaged_checkpoint_gives_way_to_a_new_one() {
    everywhere(async |run| {
        let term = started(&run).await;
        let manifest = checkpoint(&run, term, 10, 1).await;
        // Damage that its sizes show: commit sees it.
        run.location().delete(&path(10, &manifest.parts[0].name)).await.unwrap();
        checkpoint(&run, term, 10, 2).await;
        assert_eq!(resumed(&run).await, (Some(10), vec![]));
        // Damage that only checksums show: whoever resumed has set it aside.
        flip(&run, &path(10, "part-0000-of-0002.safetensors"), 777).await;
        run.checkpoints().set_aside(10).await.unwrap();
        run.checkpoints().set_aside(10).await.unwrap();
        assert_eq!(resumed(&run).await, (None, vec![]));
        checkpoint(&run, term, 10, 3).await;
        assert_eq!(resumed(&run).await, (Some(10), vec![]));
    })
    .await;
}

#[tokio::test]
async fn a_copy_is_a_run_of_its_own_and_nothing_damaged_is_copied() {
    everywhere(async |run| {
        let term = started(&run).await;
        run.put_plan("a = 1\n").await.unwrap();
        append(&run, term, 0, "{}\n").await.unwrap();
        let manifest = checkpoint(&run, term, 5, 2).await;
        let record = run.ledger().await.unwrap();
        let to = RunStore::at(run.location().child("copy"));
        run.copy_to(&to, &manifest, &record).await.unwrap();
        assert_eq!(to.identity().await.unwrap(), run.identity().await.unwrap());
        assert_eq!(resumed(&to).await, (Some(5), vec![]));
        assert_eq!(to.ledger().await.unwrap(), record);
        assert_eq!(to.claim(&claim("recipe")).await.unwrap(), Term(term.0 + 1));
        let error = run.copy_to(&to, &manifest, &record).await.unwrap_err();
        assert!(error.is_bad_input(), "{error}");
        flip(&run, &path(5, &manifest.parts[1].name), 700).await;
        let other = RunStore::at(run.location().child("other"));
        let error = run.copy_to(&other, &manifest, &record).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        assert!(matches!(other.identity().await, Err(StoreError::NotFound { .. })), "half a copy is no run");
    })
    .await;
}

/// Commits a few checkpoints and prunes, as a coordinator does.
async fn history(run: &RunStore, term: Term) -> Result<(), StoreError> {
    for step in [20, 30, 40] {
        let (of, mut written) = (2, Vec::new());
        for index in 0..of {
            let slice: Vec<Tensor> = state(step).into_iter().skip(index as usize).step_by(2).collect();
            written.push(run.checkpoints().write_part(step, PartName { index, of }, slice, true).await?);
        }
        let manifest = run.checkpoints().manifest(10).await;
        let manifest = match manifest {
            Ok(first) => {
                CheckpointManifest { parts: written, step, state_digest: format!("{step}"), term, ..first }
            }
            Err(error) => return Err(error),
        };
        run.checkpoints().commit(&manifest).await?;
        run.checkpoints().prune(&newest(1, Some(10))).await?;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_any_write_leaves_a_checkpoint_that_is_never_older_than_before() {
    let (mut crashes, mut best) = (0, 10);
    loop {
        let store = Faulty::default();
        let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
        let term = started(&run).await;
        checkpoint(&run, term, 10, 2).await;
        store.crash_after(crashes);
        let done = history(&run, term).await;
        store.restart();
        let (step, skipped) = resumed(&run).await;
        assert!(step.unwrap() >= best && skipped.is_empty(), "after {crashes} writes: {step:?} {skipped:?}");
        best = step.unwrap();
        let half = |state: &CheckpointState| matches!(state, CheckpointState::Damaged(_));
        let entries = run.checkpoints().list().await.unwrap();
        assert!(!entries.iter().any(|entry| half(&entry.state)), "after {crashes} writes: {entries:?}");
        let term = started(&run).await;
        history(&run, term).await.unwrap();
        assert_eq!(resumed(&run).await, (Some(40), vec![]));
        if done.is_ok() {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 9 && best == 40, "{crashes} {best}");
}

#[tokio::test(start_paused = true)]
async fn a_failing_service_is_no_reason_to_take_an_older_checkpoint() {
    let store = Faulty::default();
    let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
    let term = started(&run).await;
    store.lose_answers(3);
    checkpoint(&run, term, 10, 2).await;
    store.lose_answers(0);
    checkpoint(&run, term, 20, 1).await;
    assert_eq!(resumed(&run).await, (Some(20), vec![]));
    store.make_parts_unreadable();
    assert!(matches!(run.checkpoints().newest_verified().await, Err(StoreError::Io { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_on_the_way_once_is_no_damage() {
    let store = Faulty::default();
    let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
    let term = started(&run).await;
    checkpoint(&run, term, 1, 2).await;
    checkpoint(&run, term, 2, 2).await;
    store.corrupt(1);
    assert_eq!(resumed(&run).await, (Some(2), vec![]));
    store.corrupt(3);
    let (step, skipped) = resumed(&run).await;
    assert!(step == Some(1) && skipped.len() == 1 && skipped[0].contains("checksum"), "{skipped:?}");
}

#[tokio::test(start_paused = true)]
async fn a_large_part_is_stored_whose_last_answer_is_lost() {
    let store = Faulty::default();
    let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
    let term = started(&run).await;
    for (step, lost) in [(1, 0), (2, 1), (3, 3)] {
        store.lose_uploads(lost);
        let only = PartName { index: 0, of: 1 };
        let source = Fading { bytes: 40 << 20, reads: AtomicI64::new(i64::MAX) };
        let part = run.checkpoints().write_part(step, only, source, true).await.unwrap();
        let manifest = CheckpointManifest { parts: vec![part], ..parts(&run, term, 9, 1).await };
        run.checkpoints().commit(&CheckpointManifest { step, ..manifest }).await.unwrap();
        assert_eq!(resumed(&run).await, (Some(step), vec![]));
    }
}

#[tokio::test(start_paused = true)]
async fn bytes_that_break_off_are_asked_for_again_from_there() {
    let store = Faulty::default();
    let run = RunStore::at(Location::of(Arc::new(store.clone()), ""));
    let term = started(&run).await;
    let manifest = checkpoint(&run, term, 10, 2).await;
    for reads in [1, 2, 7] {
        store.break_off(reads);
        run.checkpoints().verify(&manifest).await.unwrap();
    }
    store.break_off(1_000);
    assert!(matches!(run.checkpoints().verify(&manifest).await, Err(StoreError::Io { .. })));
}

/// Callers spawn these; a borrow in the wrong place would take that away.
#[test]
fn futures_can_move_between_threads() {
    fn check<T: Send>(_: T) {}
    let run = RunStore::at(Location::memory());
    let checkpoints = run.checkpoints();
    check(checkpoints.write_part(1, PartName { index: 0, of: 1 }, Vec::new(), true));
    check(checkpoints.newest_verified());
    check(checkpoints.prune(&newest(1, None)));
    check(run.claim(&claim("recipe")));
    check(append(&run, Term(1), 0, ""));
    check(run.ledger());
    check(async move {
        let manifest = checkpoints.manifest(1).await?;
        checkpoints.commit(&manifest).await?;
        checkpoints.verify(&manifest).await?;
        checkpoints.load_into(&manifest, |_| Ok::<(), StoreError>(())).await
    });
}
