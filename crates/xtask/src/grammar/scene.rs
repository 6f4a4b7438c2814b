//! What one paragraph or story is about: who, where, when, which things; drawn once, and then the same to its end.
//! Answers the keys of templates. Knows the tables; does not know the sentences.

use super::facts::{ANIMALS, DISHES, REGIONS, THINGS, TOWNS, TREES};
use super::people::{PEOPLE, Person};
use super::template::{plural, with_article, with_s};
use super::words::{
    ACTIONS, CHARACTERS, COLOURED, COLOURS, COUNTED, DAYS, FEELINGS, INSTRUMENTS, LOOKS, MANNERS, MONTHS,
    NUMBERS, OPPOSITES, ORDINALS, PLACES, SEASONS, SIZES, TIMES,
};
use crate::prng::Prng;

/// Whom a paragraph can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Anyone,
    /// A father or a mother.
    Parent,
    /// A daughter or a son.
    Child,
}

/// Everything that a paragraph can ask for.
#[derive(Debug)]
pub struct Scene {
    person: Person,
    other: Person,
    town: usize,
    animals: [&'static str; 2],
    actions: [(&'static str, usize); 2],
    things: [&'static str; 2],
    dish: &'static str,
    tree: &'static str,
    month: usize,
    day: usize,
    numbers: (usize, usize),
    counted: &'static str,
    opposites: &'static str,
    coloured: &'static str,
    sizes: (usize, usize),
    feeling: &'static str,
}

impl Scene {
    /// Draws a scene. Books keep to one town, and mostly tell of its people and their friends.
    pub fn draw(prng: &mut Prng, town: usize, who: Who) -> Scene {
        let locals = [Person(town * 4), Person(town * 4 + 1), Person(town * 4 + 2), Person(town * 4 + 3)];
        let anyone = if prng.chance(40) { prng.pick(&locals) } else { Person(prng.below(PEOPLE)) };
        let person = match who {
            Who::Anyone => anyone,
            Who::Parent => anyone.relative(prng.below(2)),
            Who::Child => anyone.relative(2 + prng.below(2)),
        };
        let second = prng.below(ANIMALS.len());
        let first = (second + 1 + prng.below(ANIMALS.len() - 1)) % ANIMALS.len();
        let (thing, shift) = (prng.below(THINGS.len()), 1 + prng.below(THINGS.len() - 1));
        let more = 2 + prng.below(14);
        let small = prng.below(SIZES.len() - 1);
        Scene {
            person,
            other: if prng.chance(60) {
                person.friend()
            } else {
                Person((person.0 + 4 + prng.below(40)) % PEOPLE)
            },
            town: if prng.chance(50) { town } else { prng.below(TOWNS.len()) },
            animals: [ANIMALS[first], ANIMALS[second]],
            actions: [0, 1].map(|_| (prng.pick(&ACTIONS), 3 + prng.below(6))),
            things: [THINGS[thing], THINGS[(thing + shift) % THINGS.len()]],
            dish: prng.pick(&DISHES),
            tree: prng.pick(&TREES),
            month: prng.below(12),
            day: prng.below(7),
            numbers: (more, 1 + prng.below(more)),
            counted: prng.pick(&COUNTED),
            opposites: prng.pick(&OPPOSITES),
            coloured: prng.pick(&COLOURED),
            sizes: (small, small + 1 + prng.below(SIZES.len() - 1 - small)),
            feeling: prng.pick(&FEELINGS),
        }
    }

    /// Answers a key. An unknown one comes back in braces, which a test looks for.
    pub fn ask(&self, key: &str, prng: &mut Prng) -> String {
        let (group, what) = key.split_once('.').unwrap_or(("", key));
        let answer = match group {
            "" => free(what, prng),
            "p" => self.person.tell(what, prng),
            "o" => self.other.tell(what, prng),
            "t" => self.of_town(what),
            "a" => of_animal(self.animals[0], what),
            "b" => of_animal(self.animals[1], what),
            "v" => of_action(self.actions[0], what),
            "w" => of_action(self.actions[1], what),
            "x" => of_thing(self.things[0], what),
            "y" => of_thing(self.things[1], what),
            "k" => of_dish(self.dish, what),
            "u" => of_tree(self.tree, what),
            "s" => self.of_season(what, prng),
            "m" => of_cycle(&MONTHS, self.month, what),
            "d" => of_cycle(&DAYS, self.day, what),
            "n" => self.of_numbers(what),
            "q" => column(self.opposites, " ", usize::from(what == "b")),
            "r" => column(self.coloured, " ", usize::from(what == "colour")),
            "c" => Some(SIZES[if what == "big" { self.sizes.1 } else { self.sizes.0 }].to_owned()),
            "f" => column(self.feeling, " ", usize::from(what == "did")),
            _ => None,
        };
        answer.unwrap_or_else(|| format!("{{{key}}}"))
    }

    fn of_town(&self, what: &str) -> Option<String> {
        let town = TOWNS[self.town];
        let region = REGIONS[self.town / 2];
        match what {
            "name" => column(town, " ", 0),
            "region" => column(town, " ", 1),
            "river" => column(town, " ", 2),
            "goods" => column(town, " ", 3),
            "landmark" => column(town, " ", 4),
            "colour" => column(town, " ", 5),
            "mountain" => column(region, " ", 1),
            "flag1" => column(region, " ", 2),
            "flag2" => column(region, " ", 3),
            "arms" => column(region, " ", 4),
            "capital" => column(region, " ", 5),
            "lake" => column(region, " ", 6),
            // The towns lie on a road from south to north.
            "north" => column(TOWNS[(self.town + 1) % TOWNS.len()], " ", 0),
            "south" => column(TOWNS[(self.town + TOWNS.len() - 1) % TOWNS.len()], " ", 0),
            "twin" => column(TOWNS[self.town ^ 1], " ", 0),
            "mayor" => Some(Person(self.town * 4 + 1).name()),
            "surname" => Person(self.town * 4).tell("surname", &mut Prng::new(0, 0)),
            _ => None,
        }
    }

    fn of_season(&self, what: &str, prng: &mut Prng) -> Option<String> {
        // March begins the first of the table.
        let index = (self.month + 10) % 12 / 3;
        match what {
            "name" => column(SEASONS[index], "; ", 0),
            "next" => column(SEASONS[(index + 1) % 4], "; ", 0),
            "prev" => column(SEASONS[(index + 3) % 4], "; ", 0),
            "weather" => column(column_of(SEASONS[index], 1), " ", prng.below(4)),
            "sky" => column(SEASONS[index], "; ", 2),
            "skypast" => column(SEASONS[index], "; ", 3),
            "clothes" => column(SEASONS[index], "; ", 4),
            "work" => column(SEASONS[index], "; ", 5),
            "worked" => column(SEASONS[index], "; ", 6),
            _ => None,
        }
    }

    fn of_numbers(&self, what: &str) -> Option<String> {
        let (more, less) = self.numbers;
        let counted = |number: usize| {
            let noun = if number == 1 { self.counted.to_owned() } else { plural(self.counted) };
            format!("{} {noun}", NUMBERS[number])
        };
        Some(match what {
            "things" => plural(self.counted),
            "thing" => self.counted.to_owned(),
            "more" => NUMBERS[more].to_owned(),
            "less" => NUMBERS[less].to_owned(),
            "sum" => NUMBERS[more + less].to_owned(),
            "mores" => counted(more),
            "lesses" => counted(less),
            "sums" => counted(more + less),
            "diffs" => counted(more - less),
            _ => return None,
        })
    }
}

fn column(line: &str, mark: &str, at: usize) -> Option<String> {
    line.split(mark).nth(at).map(str::to_owned)
}

fn column_of(line: &'static str, at: usize) -> &'static str {
    line.split("; ").nth(at).unwrap_or_default()
}

/// What is drawn anew every time.
fn free(what: &str, prng: &mut Prng) -> Option<String> {
    let table: &[&str] = match what {
        "manner" => &MANNERS,
        "place" => &PLACES,
        "time" => &TIMES,
        "look" => &LOOKS,
        "colour" => &COLOURS,
        "character" => &CHARACTERS,
        "instrument" => &INSTRUMENTS,
        "number" => &NUMBERS[2..21],
        _ => return None,
    };
    Some(prng.pick(table).to_owned())
}

fn of_animal(line: &'static str, what: &str) -> Option<String> {
    let (one, kind) = (column_of(line, 0), column_of(line, 1));
    let sound = column_of(line, 4);
    match what {
        "one" => Some(one.to_owned()),
        "many" => Some(plural(one)),
        "kind" => Some(kind.to_owned()),
        "kinds" => Some(plural(kind)),
        "home" => column(line, "; ", 2),
        "food" => column(line, "; ", 3),
        "sound" => column(sound, " ", 0),
        "sounds" => column(sound, " ", 0).map(|word| with_s(&word)),
        "sounded" => column(sound, " ", 1),
        "young" => column(line, "; ", 5),
        "part" => column(line, "; ", 6),
        "colour" => column(line, "; ", 7),
        "legs" => Some(match (one, kind) {
            ("snake" | "seal", _) => "no".to_owned(),
            (_, "bird") => "two".to_owned(),
            (_, "insect") => "six".to_owned(),
            _ => "four".to_owned(),
        }),
        "cover" => Some(match kind {
            "bird" => "feathers".to_owned(),
            "mammal" => "hair".to_owned(),
            "reptile" => "scales".to_owned(),
            "amphibian" => "smooth skin".to_owned(),
            _ => "a hard shell".to_owned(),
        }),
        _ => None,
    }
}

fn of_action((line, object): (&'static str, usize), what: &str) -> Option<String> {
    let words: Vec<&str> = line.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    Some(match what {
        "base" => words[0].to_owned(),
        "s" => with_s(words[0]),
        "past" => words[1].to_owned(),
        "ing" => words[2].to_owned(),
        "obj" => words[object].to_owned(),
        "obj2" => words[3 + (object - 2) % 6].to_owned(),
        _ => return None,
    })
}

fn of_thing(line: &'static str, what: &str) -> Option<String> {
    let one = column_of(line, 0).replace('-', " ");
    match what {
        "one" => Some(one),
        "many" => Some(plural(&one)),
        "an" => Some(with_article(&one)),
        "stuff" => column(line, "; ", 1),
        "room" => column(line, "; ", 2),
        "use" => column(line, "; ", 3),
        _ => None,
    }
}

fn of_dish(line: &'static str, what: &str) -> Option<String> {
    match what {
        "name" => column(line, "; ", 0),
        "one" => column(column_of(line, 1), " ", 0),
        "two" => column(column_of(line, 1), " ", 1),
        "meal" => column(line, "; ", 2),
        "cook" => column(column_of(line, 3), " ", 0),
        "cooked" => column(column_of(line, 3), " ", 1),
        _ => None,
    }
}

fn of_tree(line: &'static str, what: &str) -> Option<String> {
    match what {
        "name" => column(line, "; ", 0),
        "fruit" => column(line, "; ", 1),
        "fruits" => Some(plural(column_of(line, 1))),
        "colour" => column(line, "; ", 2),
        "month" => column(line, "; ", 3),
        _ => None,
    }
}

fn of_cycle(names: &[&str], at: usize, what: &str) -> Option<String> {
    match what {
        "name" => Some(names[at].to_owned()),
        "next" => Some(names[(at + 1) % names.len()].to_owned()),
        "prev" => Some(names[(at + names.len() - 1) % names.len()].to_owned()),
        "ordinal" => Some(ORDINALS[at].to_owned()),
        _ => None,
    }
}
