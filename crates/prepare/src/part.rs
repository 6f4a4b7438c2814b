//! Documents on their way from the files to the dataset: some tens of megabytes of clean text, packed, and beside them
//! what identifies each of them among all others. Knows nothing of where parts are kept.

use std::io::{self, Read, Write};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Fast, and a third of the size of text.
const LEVEL: i32 = 1;

/// A document that is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// Which source of the configuration.
    pub source: u32,
    pub key: String,
    pub title: Option<String>,
    pub url: Option<String>,
    pub date: Option<String>,
    pub language: Option<String>,
    pub text: String,
}

/// What identifies a document among others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Which source of the configuration.
    pub source: u32,
    pub doc_id: [u8; 16],
    /// A hash of the clean text.
    pub text: [u8; 16],
    /// The length of the clean text.
    pub bytes: u64,
    /// Hashes of the bands of its signature; none if near duplicates are not looked for.
    pub bands: Vec<u64>,
    /// Numbers and hashes of its paragraphs; none if they are not looked at.
    pub paragraphs: Vec<(u32, u64)>,
}

/// Packs records one by one.
pub(crate) struct Packer {
    encoder: zstd::stream::write::Encoder<'static, Vec<u8>>,
    record: Vec<u8>,
}

impl Packer {
    pub fn new() -> io::Result<Self> {
        Ok(Packer { encoder: zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?, record: Vec::new() })
    }

    pub fn push(&mut self, record: &impl Serialize) -> io::Result<()> {
        self.record.clear();
        self.record =
            postcard::to_extend(record, std::mem::take(&mut self.record)).map_err(io::Error::other)?;
        self.encoder.write_all(&(self.record.len() as u32).to_le_bytes())?;
        self.encoder.write_all(&self.record)
    }

    pub fn finish(self) -> io::Result<Vec<u8>> {
        self.encoder.finish()
    }
}

/// Unpacks records one by one.
pub(crate) struct Unpacker<'a> {
    decoder: zstd::stream::read::Decoder<'static, io::BufReader<&'a [u8]>>,
    record: Vec<u8>,
}

impl<'a> Unpacker<'a> {
    pub fn new(packed: &'a [u8]) -> io::Result<Self> {
        Ok(Unpacker { decoder: zstd::stream::read::Decoder::new(packed)?, record: Vec::new() })
    }

    /// The next record; `None` at the end.
    pub fn next<T: DeserializeOwned>(&mut self) -> io::Result<Option<T>> {
        let mut len = [0; 4];
        match self.decoder.read(&mut len)? {
            0 => return Ok(None),
            read => self.decoder.read_exact(&mut len[read..])?,
        }
        self.record.resize(u32::from_le_bytes(len) as usize, 0);
        self.decoder.read_exact(&mut self.record)?;
        postcard::from_bytes(&self.record).map(Some).map_err(io::Error::other)
    }

    /// All records that are left.
    pub fn all<T: DeserializeOwned>(mut self) -> io::Result<Vec<T>> {
        let mut records = Vec::new();
        while let Some(record) = self.next()? {
            records.push(record);
        }
        Ok(records)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn records_come_back_in_order(texts in prop::collection::vec((".{0,30}", any::<Option<String>>()), 0..20)) {
            let kept: Vec<Kept> = texts
                .into_iter()
                .map(|(text, title)| Kept { key: text.clone(), url: title.clone(), title, text, ..Kept::default() })
                .collect();
            let mut packer = Packer::new().unwrap();
            for record in &kept {
                packer.push(record).unwrap();
            }
            let packed = packer.finish().unwrap();
            prop_assert_eq!(Unpacker::new(&packed).unwrap().all::<Kept>().unwrap(), kept);
            if packed.len() > 20 {
                prop_assert!(Unpacker::new(&packed[..packed.len() - 3]).unwrap().all::<Kept>().is_err());
            }
        }
    }
}
