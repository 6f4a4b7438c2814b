//! Headers and footers of every age, and texts that have none.

use proptest::prelude::*;

use super::*;

const BODY: &str = "A TALE\n\nBy Somebody\n\n\nCHAPTER I\n\nIt was a dark night.\nIt rained.\n\nThe end.";

fn body(text: &str) -> &str {
    &text[strip(text).body]
}

fn modern(body: &str) -> String {
    format!(
        "\u{feff}The Project Gutenberg EBook of A Tale, by Somebody\n\nThis eBook is for the use of anyone\n\n\n\
         Title: A Tale\n       of the Night\n\nAuthor: Somebody Else\n\nRelease Date: 1994 [EBook #98]\n\n\
         Language: German\n\n*** START OF THIS PROJECT GUTENBERG EBOOK A TALE ***\n\n\n\nProduced by A. B. and the\n\
         Online Distributed Team at http://www.pgdp.net\n\n\n\n{body}\n\n\n\n\nEnd of the Project Gutenberg EBook of A \
         Tale, by\nSomebody\n\n*** END OF THIS PROJECT GUTENBERG EBOOK A TALE ***\n\n***** This file \n\n*** START: \
         FULL LICENSE ***\n\nTo protect the Project Gutenberg-tm mission\n"
    )
}

#[test]
fn files_of_today() {
    for text in [modern(BODY), modern(BODY).replace('\n', "\r\n")] {
        let book = strip(&text);
        assert_eq!(text[book.body].trim_end().replace('\r', ""), BODY);
        assert_eq!(book.title.as_deref(), Some("A Tale of the Night"));
        assert_eq!((book.author.as_deref(), book.language.as_deref()), (Some("Somebody Else"), Some("de")));
    }
    // Some collections keep only the markers.
    let bare = format!(
        "*** START OF THE PROJECT GUTENBERG EBOOK 52521 ***\n\n{BODY}\n\n*** END OF THE PROJECT GUTENBERG EBOOK 52521 ***\n"
    );
    assert_eq!(body(&bare).trim_end(), BODY);
    let broken =
        modern(BODY).replace("EBOOK A TALE ***\n\n\n\nProduced", "EBOOK A VERY\nLONG TALE ***\n\nProduced");
    assert_eq!(body(&broken).trim_end(), BODY);
}

#[test]
fn files_of_the_nineties() {
    let text = format!(
        "**The Project Gutenberg Etext of A Tale by Somebody**\n\n*It must be legally the first thing seen*\n\n\
         ***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN ETEXTS**START***\nWhy is this \"Small Print!\" statement here?\n\n\
         **END THE SMALL PRINT! FOR PUBLIC DOMAIN ETEXTS*Ver.04.08.01*END**\n[Portions of this header are copyright]\n\
         [Project Gutenberg is a TradeMark]\n\n\n\nScanned by Judy\nProofread by Christy\n\n\n\n{BODY}\n\n\nEnd of the \
         Project Gutenberg Etext of A Tale by Somebody\n\n"
    );
    let book = strip(&text);
    assert_eq!(text[book.body.clone()].trim_end(), BODY);
    assert_eq!((book.title.as_deref(), book.author.as_deref()), (Some("A Tale"), Some("Somebody")));
    // The small print at the bottom.
    let text = format!(
        "The Project Gutenberg EBook of A Tale, by Somebody\n\n*** START OF THE PROJECT GUTENBERG EBOOK, A TALE ***\n\n{BODY}\n\n\
         *** END OF THE PROJECT GUTENBERG EBOOK, A TALE ***\n\n***START**THE SMALL PRINT!**FOR PUBLIC DOMAIN EBOOKS**START***\n\
         Why\n*END THE SMALL PRINT! FOR PUBLIC DOMAIN EBOOKS*Ver.02/11/02*END*\n"
    );
    assert_eq!(body(&text).trim_end(), BODY);
    // No markers at all.
    let text =
        format!("Project Gutenberg's A Tale, by Somebody\n\nThis etext was typed by Judy.\n\n\n{BODY}\n");
    let book = strip(&text);
    assert_eq!(text[book.body].trim_end(), BODY);
    assert_eq!((book.title.as_deref(), book.author.as_deref()), (Some("A Tale"), Some("Somebody")));
}

#[test]
fn transcribers_notes_go_and_the_book_stays() {
    let prose = "It was a dark night.\n".repeat(60);
    let text = modern(&format!(
        "Transcriber’s Notes\n\nSpelling was kept.\n\nSo were hyphens.\n\n\n\n{prose}\n\nTranscriber's Note:\n\nTwo errors were corrected."
    ));
    assert_eq!(body(&text).trim_end(), prose.trim_end());
    let text = modern(&format!("[Transcriber's note: spelling\nwas kept.]\n\n{prose}"));
    assert_eq!(body(&text).trim_end(), prose.trim_end());
}

#[test]
fn files_without_blank_lines() {
    let lines = "It was a dark night.\n".repeat(50);
    let text = modern("X").replace("\n\n", "\n").replace("\n\n", "\n");
    let text = text
        .replace("Online Distributed Team at http://www.pgdp.net\n", "")
        .replace("\nX\n", &format!("\n{lines}"));
    assert_eq!(body(&text).trim_end(), lines.trim_end());
}

#[test]
fn other_texts_are_left_alone() {
    for text in [
        BODY,
        "",
        "\n\n x \n\n",
        "Johannes Gutenberg printed books.\n\nEnd of story.\n",
        "***\n\nProduced by me.\n",
    ] {
        let book = strip(text);
        assert_eq!(&text[book.body.clone()], text);
        assert_eq!(book, Book { body: 0..text.len(), ..Book::default() });
    }
}

#[test]
fn what_typists_added_is_taken_out() {
    let mut dropped = Dropped::default();
    let text = "[Illustration: A [small] dog,\nsitting]\n\nThe _dog_ sat[Pg 12] down. {13} See [1] and H{2}O, snake_case, ____.\n\n\
                * * * * *\n\n-----\n\n\"_Anon._\" [Illustration]\n[Illustrations by X]\n- - a";
    let expected = "\n\nThe dog sat down.  See [1] and H{2}O, snake_case, ____.\n\n\n\n\n\n\"Anon.\" \n[Illustrations by X]\n- - a";
    assert_eq!(tidy(text, &mut dropped), expected);
    let Dropped { illustrations, page_numbers, italics, rules, contents_lines } = dropped;
    assert_eq!((illustrations, page_numbers, italics, rules, contents_lines), (2, 2, 4, 2, 0));
}

#[test]
fn tables_of_contents_go_and_lists_stay() {
    let dropped = |text: &str| {
        let mut dropped = Dropped::default();
        tidy(text, &mut dropped);
        dropped.contents_lines
    };
    assert_eq!(
        dropped("TITLE\n\nCONTENTS\n\nI. One\nII. Two\n\nIII. Three\nIV. Four\n\nCHAPTER I\n\nIt was."),
        6
    );
    assert_eq!(dropped("Contents\n1. One\n2. Two\n3. Three\n4. Four\n5. Five\n\nIt was."), 6);
    assert_eq!(
        dropped("The Dog ..... 1\nThe Cat ..... 12\nThe Cow  23\nThe Pig\t34\nThe Hen . . . 45\nText."),
        5
    );
    assert_eq!(dropped("CONTENTS\n\nVOLUME I\n\nI. One\nII. Two\n\nPART II\n\nIII. Three\n\nIt was."), 6);
    assert_eq!(dropped("1. One\n2. Two\n3. Three\n4. Four\n5. Five\n6. Six\n"), 0);
    assert_eq!(
        dropped("CHAPTER I\n\nIt was.\n\nCHAPTER II\n\nIt was.\n\nIII.\n\nI was\nI am\nI\nI do\nI go\n"),
        0
    );
}

/// Every real file: no licence, no header and no credits are left, and nearly all of the file is.
#[test]
fn real_books() {
    let folder = "../../../shared/data/books/gitenberg";
    #[expect(clippy::disallowed_methods, reason = "a test may read folders")]
    let Ok(files) = std::fs::read_dir(folder) else {
        println!("skipped: no {folder}");
        return;
    };
    for file in files {
        let path = file.unwrap().path();
        #[expect(clippy::disallowed_methods, reason = "a test may read files")]
        let bytes = std::fs::read(&path).unwrap();
        let text: String = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|&b| char::from(b)).collect());
        let book = strip(&text);
        let body = &text[book.body.clone()];
        let license = body.to_lowercase().matches("gutenberg").count();
        assert!(license <= 1, "{path:?} {license}");
        assert!(body.len() * 100 > text.len() * 85, "{path:?}");
        assert!(book.title.is_some() && book.author.is_some(), "{path:?}");
    }
}

proptest! {
    #[test]
    fn nothing_is_too_odd(
        lines in proptest::collection::vec(
            "\\PC{0,12}|\\*{0,3} ?(START|END|End) (OF|of) (THE )?PROJECT GUTENBERG|\\[Illustration|Transcriber's Note|Title: ?",
            0..30,
        ),
    ) {
        let text = lines.join("\n");
        let book = strip(&text);
        prop_assert!(text.get(book.body).is_some());
        let mut dropped = Dropped::default();
        prop_assert!(tidy(&text, &mut dropped).len() <= text.len());
    }
}
