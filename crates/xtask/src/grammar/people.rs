//! The people of the invented country: who they are, and what is always true of each.
//! Their facts are fixed; only what is told of them differs from book to book.

use super::facts::{DISHES, FAMILIES, PETS, REGIONS, TOWNS, TRADES};
use super::template::with_s;
use super::words::{ACTIONS, CHARACTERS, COLOURS, HAIR, INSTRUMENTS, MONTHS};
use crate::prng::Prng;

/// How many people there are.
pub const PEOPLE: usize = FAMILIES.len() * 4;

/// A person, by number. Each family has a father, a mother, a daughter and a son, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person(pub usize);

impl Person {
    fn family(self) -> Vec<&'static str> {
        FAMILIES[self.0 / 4].split(' ').collect()
    }

    /// Somebody of the same family: 0 father, 1 mother, 2 daughter, 3 son.
    pub fn relative(self, role: usize) -> Person {
        Person(self.0 / 4 * 4 + role)
    }

    /// Which of the four this is.
    pub fn role(self) -> usize {
        self.0 % 4
    }

    /// Somebody of another family; the friend's friend is this person.
    pub fn friend(self) -> Person {
        Person(PEOPLE - 1 - self.0)
    }

    /// Whether one says `he`.
    pub fn is_man(self) -> bool {
        matches!(self.role(), 0 | 3)
    }

    fn by_sex(self, man: &str, woman: &str) -> String {
        if self.is_man() { man } else { woman }.to_owned()
    }

    /// The first name.
    pub fn name(self) -> String {
        self.family()[self.role() + 1].to_owned()
    }

    /// The number of the town.
    pub fn town(self) -> usize {
        self.family()[5].parse().expect("the last column of FAMILIES is a number, a test reads them all")
    }

    /// A column of a table of words, by a step that spreads people over the table.
    fn of(self, table: &[&'static str], step: usize, first: usize) -> &'static str {
        table[(self.0 * step + first) % table.len()]
    }

    /// What is to be told, by its name.
    pub fn tell(self, what: &str, prng: &mut Prng) -> Option<String> {
        let column = |line: &'static str, mark: &str, at: usize| {
            line.split(mark).nth(at).unwrap_or_default().to_owned()
        };
        let spaced = |text: String| text.replace('-', " ");
        let trade = self.of(&TRADES, 7, 3);
        let verb = column(trade, "; ", 4);
        let verb = |at| verb.split(' ').nth(at).unwrap_or_default().to_owned();
        Some(match what {
            "name" => self.name(),
            "surname" => self.family()[0].to_owned(),
            "full" => format!("{} {}", self.name(), self.family()[0]),
            "he" => self.by_sex("he", "she"),
            "him" => self.by_sex("him", "her"),
            "his" => self.by_sex("his", "her"),
            "himself" => self.by_sex("himself", "herself"),
            "man" => self.by_sex("man", "woman"),
            "son" => self.by_sex("son", "daughter"),
            "brother" => self.by_sex("brother", "sister"),
            "father" => self.by_sex("father", "mother"),
            "dad" => self.relative(0).name(),
            "mum" => self.relative(1).name(),
            "spouse" => self.relative(self.role() ^ 1).name(),
            "girl" => self.relative(2).name(),
            "boy" => self.relative(3).name(),
            "sibling" => self.relative(self.role() ^ 1).name(),
            "siblingword" => self.relative(self.role() ^ 1).by_sex("brother", "sister"),
            "friend" => self.friend().name(),
            "trade" => column(trade, "; ", 0),
            "tool" => spaced(column(column_static(trade, 1), " ", prng.below(3))),
            "tool1" => spaced(column(column_static(trade, 1), " ", 0)),
            "tool2" => spaced(column(column_static(trade, 1), " ", 1)),
            "shop" => spaced(column(trade, "; ", 2)),
            "goods" => column(trade, "; ", 3),
            "make" => verb(0),
            "makes" => with_s(&verb(0)),
            "made" => verb(1),
            "making" => verb(2),
            "buyer" => column(trade, "; ", 5),
            "pet" => column(self.of(&PETS, 5, 1), " ", 0),
            "petname" => column(self.of(&PETS, 5, 1), " ", 1),
            "dish" => column(self.of(&DISHES, 11, 0), "; ", 0),
            "meal" => column(self.of(&DISHES, 11, 0), "; ", 2),
            "instrument" => self.of(&INSTRUMENTS, 3, 2).to_owned(),
            "hair" => self.of(&HAIR, 5, 0).to_owned(),
            "colour" => self.of(&COLOURS, 5, 4).to_owned(),
            "month" => self.of(&MONTHS, 7, 1).to_owned(),
            "character" => self.of(&CHARACTERS, 13, 0).to_owned(),
            "hobby" => self.hobby(),
            "town" => column(TOWNS[self.town()], " ", 0),
            "region" => column(TOWNS[self.town()], " ", 1),
            "river" => column(TOWNS[self.town()], " ", 2),
            "capital" => column(REGIONS[self.town() / 2], " ", 5),
            _ => return None,
        })
    }

    /// What this person likes to do: an action on the first thing that it fits.
    fn hobby(self) -> String {
        let words: Vec<&str> =
            self.of(&ACTIONS, 17, 5).split([' ', ';']).filter(|word| !word.is_empty()).collect();
        format!("{} {}", words[2], super::template::with_article(words[3]))
    }
}

/// A column that is itself a list.
fn column_static(line: &'static str, at: usize) -> &'static str {
    line.split("; ").nth(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn everyone() -> impl Iterator<Item = Person> {
        (0..PEOPLE).map(Person)
    }

    #[test]
    fn names_and_trades_belong_to_one_person_each() {
        let mut prng = Prng::new(0, 0);
        for what in ["name", "trade"] {
            let told: BTreeSet<String> =
                everyone().map(|person| person.tell(what, &mut prng).unwrap()).collect();
            assert_eq!(told.len(), PEOPLE, "{what}");
        }
    }

    #[test]
    fn relations_are_mutual() {
        for person in everyone() {
            assert_eq!(person.friend().friend(), person);
            assert!(person.town() < TOWNS.len());
            let of = person.relative(person.role() ^ 1);
            assert_ne!(of.is_man(), person.is_man());
        }
    }
}
