//! Files to documents, one after the other, without keeping more than one in memory. Knows nothing of what is done
//! with them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use corpus::{Document, decode};
use flate2::bufread::MultiGzDecoder;

use crate::input::Input;
use crate::{Format, PrepareError, Progress, SourceConfig};

const BUFFER: usize = 1 << 18;

/// What became of one document of a file.
pub(crate) enum Found {
    /// It can be read. The flag says that it was not UTF-8 and was taken for Windows-1252.
    Document(Document, bool),
    /// It cannot be used, for this reason.
    Dropped(&'static str),
}

/// Reads a file and hands its documents on. `wanted` can refuse a document by its name, before it is read.
pub(crate) fn read(
    input: &Input,
    source: &SourceConfig,
    progress: &dyn Progress,
    wanted: &dyn Fn(&Document) -> bool,
    sink: &mut dyn FnMut(Found) -> Result<(), PrepareError>,
) -> Result<(), PrepareError> {
    let document = |key: String| Document { source: source.name.clone(), key, ..Document::default() };
    if source.format == Format::Text && !wanted(&document(input.key.clone())) {
        progress.advance(input.size);
        return Ok(());
    }
    let file = File::open(&input.path).map_err(PrepareError::io(&input.path))?;
    let mut raw = BufReader::with_capacity(BUFFER, Counted { file, progress });
    let packed = raw.fill_buf().map_err(PrepareError::io(&input.path))?.starts_with(&[0x1f, 0x8b]);
    let mut text: Box<dyn BufRead> = match packed {
        true => Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(raw))),
        false => Box::new(raw),
    };
    let failed = |error: std::io::Error| {
        let path = input.path.display();
        match error.kind() {
            std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::UnexpectedEof => PrepareError::input(
                path.to_string(),
                format!("the gzip file is damaged ({error}); get it again"),
            ),
            _ => PrepareError::Io { path: input.path.clone(), source: error },
        }
    };
    let mut bytes = Vec::new();
    match source.format {
        Format::Text => {
            text.read_to_end(&mut bytes).map_err(failed)?;
            let (text, converted) = decode(&bytes);
            sink(Found::Document(
                Document { text: text.into_owned(), ..document(input.key.clone()) },
                converted,
            ))
        }
        Format::Jsonl => {
            for line in 1.. {
                bytes.clear();
                if text.read_until(b'\n', &mut bytes).map_err(failed)? == 0 {
                    break;
                }
                let document = document(format!("{}:{line}", input.key));
                if !bytes.trim_ascii().is_empty() && wanted(&document) {
                    sink(parse_line(&bytes, document, &source.text_field))?;
                }
            }
            Ok(())
        }
    }
}

/// One line of a JSON lines file.
fn parse_line(bytes: &[u8], document: Document, text_field: &str) -> Found {
    let (line, converted) = decode(bytes);
    let line = line.strip_prefix('\u{feff}').unwrap_or(&line);
    let Ok(mut fields) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line) else {
        return Found::Dropped("line is not a JSON object");
    };
    let mut take = |name: &str| match fields.remove(name) {
        Some(serde_json::Value::String(value)) => Some(value),
        _ => None,
    };
    match take(text_field) {
        Some(text) => {
            Found::Document(Document { text, title: take("title"), url: take("url"), ..document }, converted)
        }
        None => Found::Dropped("line has no text field"),
    }
}

/// Tells how much of a file was read.
struct Counted<'a> {
    file: File,
    progress: &'a dyn Progress,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.progress.advance(count as u64);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::Silent;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read_all(
        name: &str,
        bytes: &[u8],
        format: Format,
    ) -> Result<(Vec<Document>, Vec<&'static str>), PrepareError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let input = Input { source: 0, key: name.into(), path, size: bytes.len() as u64 };
        let source = SourceConfig {
            name: "s".into(),
            format,
            paths: Vec::new(),
            text_field: "body".into(),
            paragraphs: corpus::Paragraphs::Auto,
        };
        let (mut documents, mut dropped) = (Vec::new(), Vec::new());
        read(&input, &source, &Silent, &|_| true, &mut |found| {
            match found {
                Found::Document(document, _) => documents.push(document),
                Found::Dropped(reason) => dropped.push(reason),
            }
            Ok(())
        })?;
        Ok((documents, dropped))
    }

    #[test]
    fn gzip_files_may_have_many_members() {
        let bytes = [gzip("One. ".as_bytes()), gzip("Two é.".as_bytes())].concat();
        // The content tells, not the name.
        let (documents, _) = read_all("a.txt", &bytes, Format::Text).unwrap();
        assert_eq!((documents[0].text.as_str(), documents[0].key.as_str()), ("One. Two é.", "a.txt"));
        let error = read_all("a.txt.gz", &bytes[..bytes.len() - 9], Format::Text).unwrap_err();
        assert!(
            error.is_bad_input() && error.to_string().contains("a.txt.gz: the gzip file is damaged"),
            "{error}"
        );
        let (documents, _) = read_all("old.txt", b"caf\xe9", Format::Text).unwrap();
        assert_eq!(documents[0].text, "café");
    }

    #[test]
    fn lines_become_documents_and_bad_ones_are_counted() {
        let text = "{\"body\": \"One.\", \"title\": \"T\", \"url\": 3}\n\n{\"text\": \"no\"}\nnot json\n{\"body\": \"Two.\"}";
        for bytes in [text.as_bytes().to_vec(), gzip(text.as_bytes())] {
            let (documents, dropped) = read_all("a.jsonl", &bytes, Format::Jsonl).unwrap();
            let found: Vec<_> =
                documents.iter().map(|document| (document.key.as_str(), document.text.as_str())).collect();
            assert_eq!(found, [("a.jsonl:1", "One."), ("a.jsonl:5", "Two.")]);
            assert_eq!((documents[0].title.as_deref(), &documents[0].url), (Some("T"), &None));
            assert_eq!(dropped, ["line has no text field", "line is not a JSON object"]);
        }
    }
}
