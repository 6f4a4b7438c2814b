//! A small dataset, written and read back, whole and damaged.

use corpus::{PackFormat, PackSpec, Row, Tokenizer, train_byte_level_bpe};

use super::*;
use crate::{Location, StoreError};

fn tokenizer() -> Tokenizer {
    train_byte_level_bpe(["the cat sat on the mat, and the cat sat on the hat."], 300).unwrap()
}

fn rows(shard: u32) -> Vec<Row> {
    let row = |chunk: u32| Row {
        doc_id: u128::from(shard).to_be_bytes(),
        chunk,
        source: "books".into(),
        key: "a.txt".into(),
        title: chunk.is_multiple_of(2).then(|| "A".into()),
        text: format!("text {shard} {chunk}"),
        ids: (0..20 + chunk % 7).map(|id| id * 7 % 290).collect(),
        sent_len: vec![12, 8 + (chunk % 7) as u16],
        ..Row::default()
    };
    (0..50).map(row).collect()
}

async fn write(at: &Location) -> Result<Manifest, StoreError> {
    let writer = DatasetWriter::begin(at.clone(), &tokenizer()).await?;
    let mut shards = Vec::new();
    for shard in 0..2 {
        let mut encoder = ShardEncoder::new(tokenizer().vocab_size(), 300)?;
        for row in rows(shard) {
            encoder.push(row)?;
        }
        shards.push(writer.put_shard(shard as usize, encoder.finish()?).await?);
    }
    writer.commit(Draft { recipe: "r".into(), ..Draft::default() }, shards).await
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let at = Location::memory();
    let manifest = write(&at).await.unwrap();
    let dataset = Dataset::open_at(at).await.unwrap();
    assert_eq!(dataset.manifest(), &manifest);
    assert_eq!((manifest.totals.rows, dataset.tokens(), manifest.shards.len()), (100, 2 * 1147, 2));
    assert_eq!(dataset.tokenizer().await.unwrap().json(), tokenizer().json());
    assert_eq!(&dataset.vocabulary(), tokenizer().vocabulary());
    let mut expected = (0..2).flat_map(rows);
    for index in 0..dataset.blocks() {
        let block = dataset.block(index).await.unwrap();
        assert_eq!(&dataset.sentence_lens(index).await.unwrap(), block.sentence_lens());
        assert!(block.ids().len() <= 300 && block.rows() > 5);
        for row in 0..block.rows() {
            let wanted = expected.next().unwrap();
            assert_eq!((block.row(row), block.chunk(row)), (&wanted.ids[..], wanted.chunk));
            let found = dataset.document(index, row).await.unwrap();
            assert_eq!((found.text, found.title, found.url), (wanted.text, wanted.title, None));
        }
    }
    assert!(expected.next().is_none());
    let message = dataset.block(99).await.unwrap_err().to_string();
    assert!(message.contains("there is no block 99"), "{message}");
}

#[tokio::test]
async fn samples_are_counted_without_ids() {
    let at = Location::memory();
    write(&at).await.unwrap();
    let dataset = Dataset::open_at(at).await.unwrap();
    let spec = PackSpec::new(PackFormat::FullSentences, 64).unwrap();
    let packing = count_samples(&dataset, &spec, 2).await.unwrap();
    for (variant, counts) in packing.counts.iter().enumerate() {
        for (index, &count) in counts.iter().enumerate() {
            let block = dataset.block(index).await.unwrap();
            let layout = corpus::layout(block.sentence_lens(), &spec, variant as u32);
            assert_eq!(layout.len(), count as usize);
        }
    }
    assert_ne!(packing_name("a", &spec, 1), packing_name("a", &spec, 2));
}

#[tokio::test]
async fn writing_is_deterministic_and_the_second_writer_is_told() {
    let (one, two) = (Location::memory(), Location::memory());
    assert_eq!(write(&one).await.unwrap(), write(&two).await.unwrap());
    for (name, _) in one.list("").await.unwrap() {
        assert_eq!(one.get(&name).await.unwrap(), two.get(&name).await.unwrap(), "{name}");
    }
    assert!(matches!(write(&one).await, Err(StoreError::Fenced { .. })));
    // What an interrupted run leaves goes away with the next one.
    one.delete(MANIFEST).await.unwrap();
    one.put("docs/part-00009.parquet", "left over").await.unwrap();
    write(&one).await.unwrap();
    assert!(one.get("docs/part-00009.parquet").await.is_err());
}

/// Changes one byte of an object.
async fn flip(at: &Location, name: &str, byte: u64) {
    let mut bytes = at.get(name).await.unwrap().to_vec();
    bytes[byte as usize] ^= 1;
    at.put(name, bytes).await.unwrap();
}

#[tokio::test]
async fn every_flipped_byte_of_a_block_is_noticed_and_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let at = Location::open(place).unwrap();
    let manifest = write(&at).await.unwrap();
    let file = &manifest.shards[1];
    let before = manifest.shards[0].blocks.len();
    let span = &file.blocks[2].span;
    for byte in [span.offset, span.offset + span.len / 2, span.offset + span.len - 1] {
        flip(&at, &file.path, byte).await;
        let dataset = Dataset::open(place).await.unwrap();
        match dataset.block(before + 2).await {
            Err(StoreError::Damaged { place, reason }) => {
                assert!(place.contains("part-00001.parquet (row group 2)"), "{place}");
                assert!(reason.contains("checksum"), "{reason}");
            }
            other => panic!("{other:?}"),
        }
        // The others are whole.
        dataset.block(before + 1).await.unwrap();
        dataset.block(0).await.unwrap();
        flip(&at, &file.path, byte).await;
    }
    flip(&at, &file.path, file.blocks[2].sent_len.as_ref().unwrap().offset).await;
    flip(&at, &manifest.docs[0].path, manifest.docs[0].blocks[0].span.offset + 1).await;
    flip(&at, &manifest.tokenizer.file, 10).await;
    let dataset = Dataset::open(place).await.unwrap();
    assert!(matches!(dataset.sentence_lens(before + 2).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(dataset.text(0, 0).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(dataset.tokenizer().await, Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn files_that_are_cut_or_gone_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    for at in [Location::open(place).unwrap(), Location::memory()] {
        let manifest = write(&at).await.unwrap();
        let name = &manifest.shards[0].path;
        let whole = at.get(name).await.unwrap();
        at.put(name, whole.slice(..whole.len() / 3)).await.unwrap();
        let dataset = Dataset::open_at(at.clone()).await.unwrap();
        let error = dataset.block(dataset.manifest().shards[0].blocks.len() - 1).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("part-00000.parquet"), "{error}");
        at.delete(name).await.unwrap();
        let error = Dataset::open_at(at).await.unwrap().block(0).await.unwrap_err().to_string();
        assert!(error.contains("a part of the dataset not found"), "{error}");
        assert!(
            error.contains("part-00000.parquet") && error.contains("prepare the dataset again"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_manifest_that_is_missing_cut_or_newer_is_told() {
    let error = Dataset::open("no/such/place").await.unwrap_err();
    assert!(error.is_bad_input());
    assert_eq!(
        error.to_string(),
        "a dataset not found at no/such/place; prepare it with `cloze prepare CONFIG`"
    );
    let at = Location::memory();
    assert!(matches!(Dataset::open_at(at.clone()).await, Err(StoreError::NotFound { .. })));
    write(&at).await.unwrap();
    let whole = at.get(MANIFEST).await.unwrap();
    for len in [0, 10, whole.len() / 2, whole.len() - 3] {
        at.put(MANIFEST, whole.slice(..len)).await.unwrap();
        let error = Dataset::open_at(at.clone()).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { place, .. } if place.ends_with(MANIFEST)), "{error}");
    }
    let newer = String::from_utf8(whole.to_vec()).unwrap().replace("\"version\": 1", "\"version\": 7");
    at.put(MANIFEST, newer).await.unwrap();
    let message = Dataset::open_at(at).await.unwrap_err().to_string();
    assert!(message.contains("format version 7"), "{message}");
}
