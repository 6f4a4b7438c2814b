//! What stands around a page's text: menus, notices, comments, buttons. Knows them by their elements and by the words
//! in their classes, not by what they say.

use dom_query::{Document, NodeData, NodeRef};

/// Elements that never hold a page's prose.
const ELEMENTS: [&str; 15] = [
    "nav", "aside", "footer", "form", "dialog", "template", "button", "select", "iframe", "svg", "object",
    "audio", "video", "canvas", "menu",
];
/// Roles (WAI-ARIA) of such elements.
const ROLES: [&str; 9] = [
    "navigation",
    "banner",
    "contentinfo",
    "complementary",
    "dialog",
    "alertdialog",
    "search",
    "menu",
    "menubar",
];
/// Words of the class names and ids of such elements. Not "hidden" and "widget", which layout tools put on anything.
const WORDS: [&str; 47] = [
    "breadcrumb",
    "breadcrumbs",
    "byline",
    "catlinks",
    "comment",
    "commentlist",
    "comments",
    "consent",
    "cookie",
    "cookies",
    "disqus",
    "editsection",
    "footer",
    "gdpr",
    "lightbox",
    "menu",
    "metadata",
    "modal",
    "nav",
    "navbar",
    "navbox",
    "navigation",
    "newsletter",
    "noprint",
    "pager",
    "pagination",
    "popup",
    "printfooter",
    "promo",
    "recommended",
    "reference",
    "references",
    "reflist",
    "related",
    "replies",
    "respond",
    "share",
    "sharedaddy",
    "sharing",
    "sidebar",
    "social",
    "sponsored",
    "subscribe",
    "subscription",
    "toc",
    "toolbar",
    "trackback",
];
/// A class that begins with one of these says what is around the element, or is not.
const ABOUT: [&str; 6] = ["has", "is", "js", "no", "with", "without"];

/// Takes them out of the tree. What holds half of the page's text or more is not around it, whatever its name.
pub(super) fn remove(document: &Document) {
    let Some(body) = document.body() else { return };
    let all = body.normalized_char_count();
    let mut open = vec![body];
    while let Some(node) = open.pop() {
        for child in node.element_children() {
            if around(&child) && 2 * child.normalized_char_count() < all.max(1) {
                child.remove_from_parent();
            } else {
                open.push(child);
            }
        }
    }
}

fn around(node: &NodeRef<'_>) -> bool {
    node.query_or(false, |node| {
        let NodeData::Element(element) = &node.data else { return false };
        if ELEMENTS.contains(&element.name.local.as_ref()) {
            return true;
        }
        element.attrs.iter().any(|attribute| match attribute.name.local.as_ref() {
            "hidden" => true,
            "role" => ROLES.contains(&attribute.value.as_ref()),
            "style" => {
                let style: String = attribute.value.chars().filter(|char| !char.is_whitespace()).collect();
                style.contains("display:none")
            }
            "class" | "id" => attribute.value.split_ascii_whitespace().any(names_chrome),
            _ => false,
        })
    })
}

/// Whether a class or an id has a word for what stands around a text.
fn names_chrome(name: &str) -> bool {
    let mut words = name.split(|char: char| !char.is_ascii_alphanumeric()).peekable();
    words.peek().is_some_and(|first| !ABOUT.contains(first)) && words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_around_goes_and_what_only_sounds_like_it_stays() {
        let text = "A text that is long enough to be more than half of all there is. ".repeat(5);
        for (tag, goes) in [
            ("nav", true),
            ("div role=navigation", true),
            ("div hidden", true),
            ("div style='color: red; Display : none'", false),
            ("div style='color: red; display : none'", true),
            ("div class='x site-footer'", true),
            ("ul id=breadcrumbs", true),
            ("div class='article overflow-hidden'", false),
            ("div class='elementor-widget'", false),
            ("div class='has-sidebar no-comments'", false),
            ("div class='commentary sharecropping'", false),
            ("section", false),
        ] {
            let document = Document::from(format!("<body><p>{text}</p><{tag}>This.</{tag}>"));
            remove(&document);
            assert_eq!(document.body().unwrap().text().contains("This."), !goes, "{tag}");
        }
    }
}
