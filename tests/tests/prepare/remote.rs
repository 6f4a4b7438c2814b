//! Inputs on a web server are read in ranges, and give the rows that the same files on a disk give.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use tests::{Workplace, files_below};

/// Serves the files of a folder on this machine until the test ends. Knows HEAD, GET and single ranges.
fn serve(folder: PathBuf) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let folder = folder.clone();
            std::thread::spawn(move || while answer(&stream, &folder).is_some() {});
        }
    });
    format!("http://{address}")
}

/// Answers one request; nothing if the connection ends.
fn answer(mut stream: &TcpStream, folder: &Path) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.by_ref().take(1 << 14).read_line(&mut line).ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let Ok(bytes) = fs::read(folder.join(path.trim_start_matches('/'))) else {
        stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").ok()?;
        return Some(());
    };
    let range = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let (start, end) = value.trim().strip_prefix("bytes=")?.split_once('-')?;
        name.eq_ignore_ascii_case("range")
            .then_some((start.parse::<usize>().ok()?, end.parse::<usize>().ok()?))
    });
    let (start, end) = range.map_or((0, bytes.len()), |(start, end)| (start, (end + 1).min(bytes.len())));
    let status = match range {
        Some(_) => format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", end - 1, bytes.len()),
        None => "200 OK".to_owned(),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLast-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\nETag: \"1\"\r\n\r\n",
        end - start
    );
    stream.write_all(head.as_bytes()).ok()?;
    if method == "GET" {
        stream.write_all(&bytes[start..end]).ok()?;
    }
    Some(())
}

#[test]
fn what_is_on_a_web_server_is_read_as_from_a_disk() {
    let place = Workplace::with_corpus();
    place
        .cloze(&["prepare", "corpus.toml", "--input", "corpus/book-03.txt", "--out", "here"])
        .expect_success();
    let url = serve(place.path(""));
    let address = format!("{url}/corpus/book-03.txt");
    place.cloze(&["prepare", "corpus.toml", "--input", &address, "--out", "there"]).expect_success();
    assert!(files_below(&place.path("here")) == files_below(&place.path("there")));
    let missing = format!("{url}/corpus/none.txt");
    place
        .cloze(&["prepare", "corpus.toml", "--input", &missing, "--out", "nowhere"])
        .expect_failure(2, &["none.txt", "name its files one by one"]);
}
