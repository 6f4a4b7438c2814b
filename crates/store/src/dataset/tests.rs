//! A small dataset, written and read back, whole and damaged.

use std::sync::Arc;

use corpus::{DocRow, PackFormat, PackSpec, TokenRow, Tokenizer, train_byte_level_bpe};

use super::shard::Elsewhere;
use super::*;
use crate::contract::faulty::Faulty;
use crate::{BlockCache, Location, StoreError};

fn tokenizer() -> Tokenizer {
    train_byte_level_bpe(["the cat sat on the mat, and the cat sat on the hat."], 300).unwrap()
}

fn rows(shard: u32) -> Vec<(DocRow, TokenRow)> {
    let row = |chunk: u32| {
        let doc_id = u128::from(shard).to_be_bytes();
        let text = format!("text {shard} {chunk}");
        let docs = DocRow {
            doc_id,
            chunk,
            source: "books".into(),
            key: "a.txt".into(),
            title: chunk.is_multiple_of(2).then(|| "A".into()),
            sent_end: vec![text.len() as u32],
            text,
            ..DocRow::default()
        };
        let tokens = TokenRow {
            doc_id,
            source: (chunk % 2) as u16,
            chunk,
            ids: (0..20 + chunk % 7).map(|id| id * 7 % 290).collect(),
            sent_len: vec![12, 8 + (chunk % 7) as u16],
            flags: 0,
        };
        (docs, tokens)
    };
    (0..50).map(row).collect()
}

async fn write(at: &Location) -> Result<Manifest, StoreError> {
    let writer = DatasetWriter::new(at.clone());
    let (mut docs, mut shards) = (Vec::new(), Vec::new());
    for shard in 0..2 {
        let mut encoder = DocsEncoder::new(100)?;
        for (row, _) in rows(shard) {
            encoder.push(row)?;
        }
        let file = writer.put_docs(shard as usize, encoder.finish()?).await?;
        let mut encoder = TokensEncoder::new(tokenizer().vocab_size())?;
        let mut left = rows(shard).into_iter();
        for block in &file.blocks {
            let rows: Vec<TokenRow> =
                left.by_ref().take(block.rows as usize).map(|(_, tokens)| tokens).collect();
            encoder.push_block(&rows)?;
        }
        docs.push(file);
        shards.push(writer.put_tokens(&tokenizer(), shard as usize, encoder.finish()?).await?);
    }
    let source = |name: &str, weight| {
        let name = name.to_owned();
        manifest::Source { name, documents: 1, bytes: 1, weight }
    };
    let sources = vec![source("books", 1.0), source("news", 3.0)];
    let draft = Draft { recipe: "r".into(), sources, ..Draft::default() };
    let manifest = Manifest::new(&tokenizer(), draft, docs, shards);
    writer.commit(MANIFEST, &tokenizer(), &manifest).await.map(|()| manifest)
}

async fn open(at: &Location) -> Result<Dataset, StoreError> {
    Dataset::open_at(at.clone(), MANIFEST).await
}

#[tokio::test]
async fn what_was_written_is_read_back() {
    let at = Location::memory();
    let manifest = write(&at).await.unwrap();
    let dataset = open(&at).await.unwrap();
    assert_eq!(dataset.manifest(), &manifest);
    assert_eq!((manifest.totals.rows, dataset.tokens(), manifest.shards.len()), (100, 2 * 1147, 2));
    assert_eq!(dataset.tokenizer().await.unwrap().json(), tokenizer().json());
    assert_eq!(&dataset.vocabulary(), tokenizer().vocabulary());
    let mut expected = (0..2).flat_map(rows);
    for index in 0..dataset.blocks() {
        let block = dataset.block(index).await.unwrap();
        assert_eq!(&dataset.sentence_lens(index).await.unwrap(), block.sentence_lens());
        let documents = dataset.documents(index).await.unwrap();
        assert!(documents.iter().map(|row| row.text.len()).sum::<usize>() <= 100 && block.rows() > 0);
        assert_eq!(documents.len(), block.rows());
        for (row, found) in documents.iter().enumerate() {
            let (docs, tokens) = expected.next().unwrap();
            assert_eq!((block.row(row), block.chunk(row)), (&tokens.ids[..], tokens.chunk));
            assert_eq!(found, &docs);
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
    let dataset = open(&at).await.unwrap();
    let spec = PackSpec::new(PackFormat::FullSentences, 64).unwrap();
    let packing = count_samples(&dataset, &spec, 2).await.unwrap();
    for (variant, counts) in packing.counts.iter().enumerate() {
        for (index, &count) in counts.iter().enumerate() {
            let block = dataset.block(index).await.unwrap();
            let layout = corpus::layout(block.sentence_lens(), &spec, variant as u32);
            assert_eq!(layout.len(), count as usize);
        }
    }
    assert_ne!(packing_name(&dataset, &spec, 1), packing_name(&dataset, &spec, 2));
}

#[tokio::test]
async fn sources_are_taken_by_their_weights() {
    let at = Location::memory();
    write(&at).await.unwrap();
    let dataset = open(&at).await.unwrap();
    let spec = PackSpec::new(PackFormat::DocSentences, 64).unwrap();
    let samples = async |dataset: &Dataset| -> u32 {
        count_samples(dataset, &spec, 1).await.unwrap().counts[0].iter().sum()
    };
    let even = samples(&dataset).await;
    let weighted = |weights: &[(&str, f64)]| {
        dataset.clone().weighted(&weights.iter().map(|&(name, weight)| (name.to_owned(), weight)).collect())
    };
    // Of this dataset, a row is a sample. Its table of contents has the weights 1 and 3.
    assert_eq!(samples(&weighted(&[]).unwrap()).await, 2 * even);
    let only_news = weighted(&[("books", 0.0), ("news", 1.0)]).unwrap();
    assert_eq!(samples(&only_news).await, even / 2);
    let block = only_news.block(0).await.unwrap();
    let packed = PackedBlock::new(block.clone(), &spec, 0);
    let rows = (0..block.rows()).filter(|&row| block.sentence_lens().source(row) == 1);
    let mut expected: Vec<&[u32]> = rows.map(|row| block.row(row)).collect();
    let found: Vec<_> = (0..packed.len()).map(|index| packed.sample(index)).collect();
    let mut found: Vec<&[u32]> = found.iter().map(|sample| &sample.ids[..]).collect();
    expected.sort_unstable();
    found.sort_unstable();
    assert_eq!(found, expected);

    assert_ne!(packing_name(&only_news, &spec, 1), packing_name(&dataset, &spec, 1));
    let message = weighted(&[("new", 1.0)]).unwrap_err().to_string();
    assert!(message.contains("no source `new`") && message.contains("books, news"), "{message}");
    assert!(weighted(&[("books", -1.0)]).unwrap_err().to_string().contains("a weight is -1"));
}

#[tokio::test]
async fn writing_is_deterministic_and_the_second_writer_is_told() {
    let (one, two) = (Location::memory(), Location::memory());
    assert_eq!(write(&one).await.unwrap(), write(&two).await.unwrap());
    for (name, _) in one.list("").await.unwrap() {
        assert_eq!(one.get(&name).await.unwrap(), two.get(&name).await.unwrap(), "{name}");
    }
    // The same dataset again is no offence, another one is.
    write(&one).await.unwrap();
    let other = DatasetWriter::new(one.clone());
    let nothing = Manifest::new(&tokenizer(), Draft::default(), Vec::new(), Vec::new());
    let other = other.commit(MANIFEST, &tokenizer(), &nothing).await;
    assert!(matches!(other, Err(StoreError::Fenced { .. })));
    write(&one).await.unwrap();
    assert!(open(&one).await.unwrap().documents(0).await.is_ok());
    one.delete(MANIFEST).await.unwrap();
    // What an interrupted run leaves goes away with the next one.
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
    flip(&at, &file.path, file.blocks[2].head.as_ref().unwrap().offset).await;
    flip(&at, &manifest.docs[0].path, manifest.docs[0].blocks[0].span.offset + 1).await;
    flip(&at, &manifest.tokenizer.file, 10).await;
    let dataset = Dataset::open(place).await.unwrap();
    assert!(matches!(dataset.sentence_lens(before + 2).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(dataset.documents(0).await, Err(StoreError::Damaged { .. })));
    assert!(matches!(dataset.tokenizer().await, Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn a_block_that_goes_wrong_on_the_way_is_read_again() {
    let store = Faulty::default();
    let at = Location::of(Arc::new(store.clone()), "");
    write(&at).await.unwrap();
    let expected = blocks(&open(&at).await.unwrap()).await.unwrap();
    for wrong in [1, 2] {
        let dataset = open(&at).await.unwrap();
        store.corrupt(wrong);
        match blocks(&dataset).await {
            Ok(found) if wrong == 1 => assert_eq!(found, expected),
            Err(StoreError::Damaged { reason, .. }) if wrong == 2 => assert!(reason.contains("checksum")),
            other => panic!("{wrong} wrong: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_read_once_is_in_the_cache_and_damage_there_does_no_harm() {
    let (at, folder) = (Location::memory(), tempfile::tempdir().unwrap());
    write(&at).await.unwrap();
    let cached = async || {
        let cache = Some(BlockCache::open(folder.path(), 1 << 30).unwrap());
        open(&at).await.unwrap().with(&Elsewhere { cache, ..Elsewhere::default() })
    };
    let expected = blocks(&cached().await).await.unwrap();
    let damage = || {
        for entry in std::fs::read_dir(folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[0] ^= 1;
            std::fs::write(path, bytes).unwrap();
        }
    };
    damage();
    assert_eq!(blocks(&cached().await).await.unwrap(), expected, "read where it is whole");
    for (name, _) in at.list("tokens").await.unwrap() {
        at.delete(&name).await.unwrap();
    }
    assert_eq!(blocks(&cached().await).await.unwrap(), expected, "all of it is here now");
    damage();
    assert!(matches!(blocks(&cached().await).await, Err(StoreError::NotFound { .. })));
}

#[tokio::test]
async fn a_tokenizer_that_is_damaged_or_gone_is_read_from_a_replica() {
    let (at, replica) = (Location::memory(), Location::memory());
    for place in [&at, &replica] {
        write(place).await.unwrap();
    }
    let elsewhere = Elsewhere { replicas: vec![replica], cache: None };
    let with = async || open(&at).await.unwrap().with(&elsewhere);
    let expected = with().await.tokenizer_json().await.unwrap();
    let name = open(&at).await.unwrap().manifest().tokenizer.file.clone();
    flip(&at, &name, 5).await;
    assert_eq!(with().await.tokenizer_json().await.unwrap(), expected);
    at.delete(&name).await.unwrap();
    assert_eq!(with().await.tokenizer_json().await.unwrap(), expected);
    assert!(matches!(open(&at).await.unwrap().tokenizer_json().await, Err(StoreError::NotFound { .. })));
}

/// The ids of all blocks.
async fn blocks(dataset: &Dataset) -> Result<Vec<Vec<u32>>, StoreError> {
    let mut ids = Vec::new();
    for block in 0..dataset.blocks() {
        ids.push(dataset.block(block).await?.ids().to_vec());
    }
    Ok(ids)
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
        let dataset = open(&at).await.unwrap();
        let error = dataset.block(dataset.manifest().shards[0].blocks.len() - 1).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains("part-00000.parquet"), "{error}");
        at.delete(name).await.unwrap();
        let error = open(&at).await.unwrap().block(0).await.unwrap_err().to_string();
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
    assert!(matches!(open(&at).await, Err(StoreError::NotFound { .. })));
    write(&at).await.unwrap();
    let whole = at.get(MANIFEST).await.unwrap();
    for len in [0, 10, whole.len() / 2, whole.len() - 3] {
        at.put(MANIFEST, whole.slice(..len)).await.unwrap();
        let error = open(&at).await.unwrap_err();
        assert!(matches!(&error, StoreError::Damaged { place, .. } if place.ends_with(MANIFEST)), "{error}");
    }
    let newer = String::from_utf8(whole.to_vec()).unwrap().replace("\"version\": 3", "\"version\": 7");
    at.put(MANIFEST, newer).await.unwrap();
    let message = open(&at).await.unwrap_err().to_string();
    assert!(message.contains("format version 7"), "{message}");
}
