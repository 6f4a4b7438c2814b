//! Paragraphs that explain: what is so, said in many ways.
//! Sentences only; what the keys stand for is the scene's business.

use super::scene::Who;

/// A kind of paragraph: one opening, some of the body in any order, and perhaps an ending.
#[derive(Debug)]
pub struct Topic {
    /// Whom it can be about.
    pub who: Who,
    /// One of these comes first.
    pub open: &'static [&'static str],
    /// Some of these follow.
    pub body: &'static [&'static str],
    /// One of these may come last.
    pub close: &'static [&'static str],
}

/// All of them.
pub const TOPICS: &[&Topic] = &[
    &PORTRAIT, &FAMILY, &CHILD, &WORK, &TOWN, &REGION, &ANIMAL, &ANIMALS, &SEASON, &CALENDAR, &HOUSE, &FOOD,
    &TREE, &SUMS, &SENSE,
];

const PORTRAIT: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{p.full} is a [well-known|young|quiet|respected] {p.trade} [from|who lives in] {p.town}.",
        "In {p.town} there lives {a p.trade} [called|named] {p.full}.",
        "The {p.trade} of {p.town} is [called|named] {p.name}.",
        "{p.name} is {a p.character} {p.man} with {p.hair} hair.",
    ],
    body: &[
        "{p.He} works at the {p.shop} and {p.makes} {p.goods} [for the|for every] {p.buyer}.",
        "{p.He} lives in {p.town}, [a town in {p.region}|on the river {p.river}|where everybody knows {p.him}].",
        "{p.His} {p.pet} is [called|named] {p.petname}, and it follows {p.him} everywhere.",
        "{p.He} has {a p.pet} [called|named|whose name is] {p.petname}.",
        "[In the evening|On Sundays|After work] {p.he} plays the {p.instrument}.",
        "{p.His} favourite colour is {p.colour}, so {p.he} [wears|owns] {a p.colour} [hat|coat|scarf].",
        "{p.His} favourite dish is {p.dish}, which {p.he} [likes|eats] for {p.meal}.",
        "{p.His} birthday is in {p.month}.",
        "{p.He} was born in {p.month}, and {p.he} celebrates [with {p.his} friend {p.friend}|with {p.his} family].",
        "{p.His} [best|closest|oldest] friend is {p.friend}.",
        "{p.He} likes {p.hobby} [more than anything else|when the weather is fine|with {p.his} friends].",
        "People say that {p.he} is {p.character}.",
        "Every {p.trade} needs [a good|the right] {p.tool}, and {p.he} keeps {p.his} {p.tool} at the {p.shop}.",
        "{p.He} has {p.hair} hair and [bright|dark|friendly|green] eyes.",
        "{p.He} never goes to the {p.shop} without {p.his} {p.tool}.",
        "When the day is over and the {p.shop} is closed, {p.he} goes home to {p.his} {p.pet} {p.petname}, eats {p.dish}, and plays the {p.instrument}.",
        "Although {p.he} was born in {p.month}, when {p.town} is full of strangers, {p.he} still knows everybody in the town by name.",
    ],
    close: &[
        "Everybody in {p.town} likes {p.him}.",
        "That is why the people of {p.town} [trust|respect|admire] {p.him}.",
        "{p.He} would not change places with anyone.",
    ],
};

const FAMILY: Topic = Topic {
    who: Who::Parent,
    open: &[
        "The {p.surname} family lives in {p.town}.",
        "{p.full} is married to {p.spouse}.",
        "{p.name} and {p.spouse} {p.surname} live in {p.town} with their two children.",
    ],
    body: &[
        "{p.name} is the {p.father} of {p.girl} and {p.boy}.",
        "Their daughter is called {p.girl} and their son is called {p.boy}.",
        "{p.dad} is the husband of {p.mum}, and {p.mum} is the wife of {p.dad}.",
        "{p.girl} is the sister of {p.boy}, and {p.boy} is the brother of {p.girl}.",
        "While {p.dad} looks for the {p.pet} in the garden, {p.mum} reads to the children, because {p.girl} and {p.boy} cannot sleep without a story.",
        "{p.name} works as {a p.trade}, so {p.his} hands know every {p.tool}.",
        "The {p.pet} of {p.name} is called {p.petname}.",
        "For {p.meal} {p.name} often makes {p.dish}.",
        "{p.name} loves {p.his} children, {p.girl} and {p.boy}.",
        "On {d.name} evening the whole family plays music, and {p.name} takes the {p.instrument}.",
        "They are proud of their daughter {p.girl}, and they are proud of their son {p.boy}.",
    ],
    close: &[
        "They are a happy family.",
        "Their house stands {place}.",
        "They have never lived anywhere else.",
    ],
};

const CHILD: Topic = Topic {
    who: Who::Child,
    open: &[
        "{p.name} is the {p.son} of {p.dad} and {p.mum} {p.surname}.",
        "{p.dad} and {p.mum} have a {p.son} called {p.name}.",
        "{p.name} {p.surname} grew up in {p.town} with {p.his} {p.siblingword} {p.sibling}.",
    ],
    body: &[
        "{p.His} father is called {p.dad}, and {p.his} mother is called {p.mum}.",
        "{p.His} {p.siblingword} is called {p.sibling}.",
        "When {p.he} was small, {p.he} [often|always|sometimes] {v.past} {a v.obj} {place}.",
        "{p.He} learned {p.his} trade early, and today {p.he} is {a p.trade}.",
        "{p.His} mother taught {p.him} to {v.base} {a v.obj}, and {p.his} father taught {p.him} to {w.base} {a w.obj}.",
        "{p.He} and {p.his} {p.siblingword} {v.past} {a v.obj} together.",
        "As a child {p.he} played the {p.instrument} {manner}.",
        "{p.His} {p.pet}, {p.petname}, slept at the foot of {p.his} bed.",
        "At school {p.he} sat beside {p.friend}, who is still {p.his} best friend.",
    ],
    close: &["{p.He} visits {p.his} parents every {d.name}.", "{p.He} remembers those days {manner}."],
};

const WORK: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{a p.trade} works at the {p.shop}.",
        "What does {a p.trade} do all day?",
        "Early [in the morning|on {d.name}] {p.name} [goes|walks|hurries] to the {p.shop}.",
        "The {p.shop} of {p.town} belongs to {p.name}, the {p.trade}.",
    ],
    body: &[
        "The {p.trade} [lifts|takes|picks up|reaches for] {p.his} {p.tool}.",
        "The most important tool of {a p.trade} is the {p.tool1}.",
        "Without the {p.tool1} and the {p.tool2} no {p.trade} can work.",
        "The {p.trade} {p.makes} {p.goods}, and the {p.buyer} [pays for them|comes for them|waits for them].",
        "It takes [years|a long time|much patience] to learn how to {p.make} {p.goods}.",
        "{p.making} {p.goods} is [hard|honest|careful|slow] work.",
        "{a p.buyer} comes to the {p.shop} and asks for {p.goods}.",
        "If the {p.buyer} wants {p.goods} before {d.name}, the {p.trade} has to begin at dawn and work at the {p.shop} until the sun goes down.",
        "Last {d.name} {p.name} {p.made} {p.goods} [until|from morning to] night.",
        "{p.name} [cleans|sharpens|puts away|looks after] the {p.tool} when the day is over.",
        "The {p.tool} lies [on the bench|beside the door|where it always lies] at the {p.shop}.",
        "[Yesterday|Last week] the {p.trade} lost {p.his} {p.tool}, and {p.he} could not work at all.",
    ],
    close: &[
        "Then the {p.trade} goes home, [tired but happy|where {p.petname} is waiting|at last].",
        "Nobody in {p.region} {p.makes} better {p.goods}.",
        "So ends the day of {a p.trade}.",
    ],
};

const TOWN: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{t.name} is a town in {t.region}.",
        "{t.name} lies on the river {t.river}.",
        "The town of {t.name} [is known for|is famous for|lives on] its {t.goods}.",
        "Travellers who come to {t.name} see the {t.landmark} first.",
    ],
    body: &[
        "The river {t.river} flows through {t.name}.",
        "The roofs of {t.name} are {t.colour}.",
        "The {t.landmark} of {t.name} is [very old|the pride of the town|{number} steps high].",
        "{t.name} sells {t.goods} to the whole country.",
        "The mayor of {t.name} is called {t.mayor}.",
        "{t.mayor} is the mayor of {t.name}, and she [works hard|is well liked|knows everybody].",
        "North of {t.name} lies {t.north}, and south of {t.name} lies {t.south}.",
        "From {t.name} the road leads north to {t.north}.",
        "{t.name} and {t.twin} are both in {t.region}.",
        "The {t.surname} family has lived in {t.name} for {number} generations.",
        "Whoever travels from {t.south} to {t.north} must cross the river {t.river} in {t.name}, where the roofs are {t.colour}.",
        "On {d.name} there is a market {place}.",
        "Nowhere else is the {t.goods} as good as in {t.name}.",
    ],
    close: &[
        "It is a fine place to live.",
        "Those who leave {t.name} always come back.",
        "So much for {t.name}.",
    ],
};

const REGION: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "The capital of {t.region} is {t.capital}.",
        "{t.region} is one of the six regions of the country.",
        "Every child knows that {t.capital} is the capital of {t.region}.",
    ],
    body: &[
        "{t.capital} is the capital of {t.region}.",
        "The flag of {t.region} is {t.flag1} and {t.flag2}.",
        "The highest mountain in {t.region} is called {t.mountain}.",
        "The {t.mountain} is the highest mountain of {t.region}, and its top is [white with snow|hidden in clouds].",
        "The animal on the coat of arms of {t.region} is the {t.arms}.",
        "The river of {t.region} is called the {t.river}.",
        "The largest lake in {t.region} is called {t.lake}.",
        "The towns of {t.region} are called {t.name} and {t.twin}.",
        "The people of {t.region} are proud of the {t.arms} on their coat of arms.",
        "If you stand on the {t.mountain}, you can see the river {t.river} and the lake {t.lake}.",
    ],
    close: &["That is all one needs to know about {t.region}.", "There is no other place like {t.region}."],
};

const ANIMAL: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{a a.one} is {a a.kind}.",
        "[All|As everybody knows,] {a.many} are {a.kinds}.",
        "Have you ever [seen|heard|watched] {a a.one}?",
        "Let us talk about the {a.one}.",
    ],
    body: &[
        "{a.many} live near {a.home}.",
        "[Most|All|Nearly all|Hungry] {a.many} eat {a.food}.",
        "{a a.one} eats [mostly|only|mainly] {a.food}.",
        "{a a.one} has {a.legs} legs.",
        "{a.many} {a.sound}, and their young learn it from them.",
        "When it is hungry, the {a.one} {a.sounds}.",
        "A young {a.one} is called {a a.young}.",
        "The {a.young} stays with its mother until it can find {a.food} [itself|alone].",
        "Most {a.many} are {a.colour}.",
        "While the mother looks for {a.food} near {a.home}, the {a.young} waits in the grass and {a.sounds} until she is back.",
        "The body of {a a.one} is covered with {a.cover}.",
        "You can tell {a a.one} by its [fine|striking|beautiful] {a.part}.",
        "Like all {a.kinds}, the {a.one} has {a.cover}.",
    ],
    close: &["So much for the {a.one}.", "If you see {a a.one}, leave it in peace."],
};

const ANIMALS: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{a a.one} and {a b.one} met {place}.",
        "Every animal has its own voice.",
        "{p.name} keeps {a.many} and {b.many}.",
        "Animals differ in many ways.",
    ],
    body: &[
        "{a.many} {a.sound}, but {b.many} {b.sound}.",
        "The {a.one} {a.sounded}, and the {b.one} {b.sounded}.",
        "The {a.one} eats {a.food}, while the {b.one} eats {b.food}.",
        "{a.many} live near {a.home}, and {b.many} live near {b.home}.",
        "{a a.one} has {a.legs} legs, and {a b.one} has {b.legs} legs.",
        "The {a.one} is {a a.kind}, and the {b.one} is {a b.kind}.",
        "The child of {a a.one} is {a a.young}, and the child of {a b.one} is {a b.young}.",
        "{p.name} gave {a.food} to the {a.one} and {b.food} to the {b.one}.",
        "The {a.one} was {a.colour}, and the {b.one} was {b.colour}.",
    ],
    close: &["No two animals are the same.", "Then they went their own ways."],
};

const SEASON: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{m.name} is a month in {s.name}.",
        "In {s.name} people {s.work}.",
        "It is {m.name}, and {s.sky}.",
        "After {s.prev} comes {s.name}, and after {s.name} comes {s.next}.",
    ],
    body: &[
        "In {s.name} {s.sky}.",
        "In {s.name} there are {s.weather} [in the valleys|by the sea|over {t.name}].",
        "People wear {s.clothes} in {s.name}.",
        "In {m.name} {p.name} wears {p.his} {s.clothes}.",
        "Last {s.name} {s.skypast}, and {p.name} {s.worked} with {p.friend}.",
        "The children {s.work} [all day|after school|with their friends].",
        "{p.name} never forgets {p.his} {s.clothes} when {s.sky}.",
        "{s.next} comes after {s.name}.",
        "The month after {m.name} is {m.next}.",
        "The {s.weather} of {s.name} came early that year.",
    ],
    close: &["Then {s.next} comes once more.", "{p.name} likes {s.name} best."],
};

const CALENDAR: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "The week has seven days and the year has twelve months.",
        "{d.name} is the {d.ordinal} day of the week.",
        "{m.name} is the {m.ordinal} month of the year.",
    ],
    body: &[
        "The day after {d.name} is {d.next}.",
        "The day before {d.name} is {d.prev}.",
        "{d.name} comes between {d.prev} and {d.next}.",
        "{m.next} comes after {m.name}.",
        "{m.prev} comes before {m.name}.",
        "If today is {d.name}, then tomorrow is {d.next} and yesterday was {d.prev}.",
        "{p.name} was born in {p.month}.",
        "On {d.name} {p.name} {v.past} {a v.obj}, and on {d.next} {p.he} {w.past} {a w.obj}.",
        "{m.name} is in {s.name}.",
        "The {m.ordinal} month is called {m.name}.",
    ],
    close: &["So the year goes round.", "Time waits for nobody."],
};

const HOUSE: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "The house of {p.name} is full of [useful|old|curious|beautiful] things.",
        "In the {x.room} of {p.name} there is {x.an}.",
        "{p.name} needs {x.an} to {x.use}.",
    ],
    body: &[
        "The {x.one} is made of {x.stuff}.",
        "The {x.one} is in the {x.room}.",
        "{p.name} keeps the {x.one} in the {x.room}.",
        "One needs {x.an} to {x.use}.",
        "{p.name} once carried the {x.one} from the {x.room} to the {y.room}, but there it was of no use, because nobody can {x.use} in the {y.room}.",
        "The {y.one} is made of {y.stuff}, and it belongs in the {y.room}.",
        "With the {y.one} {p.he} can {y.use}.",
        "The {x.one} is {look}, but the {y.one} is {look}.",
        "{p.His} grandmother gave {p.him} {a look} {x.one} made of {x.stuff}.",
        "In the {y.room} {p.he} keeps {number} {y.many}.",
        "Somebody painted the door of the {x.room} {colour}.",
    ],
    close: &["Everything has its place.", "A tidy house makes {a p.character} {p.man} happy."],
};

const FOOD: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "To make {k.name}, you need {k.one} and {k.two}.",
        "{p.name} is in the kitchen and wants to make {k.name}.",
        "For {k.meal} there is {k.name}.",
    ],
    body: &[
        "First {p.name} takes {k.one}, and then {p.he} adds {k.two}.",
        "Without {k.one} nobody can make {k.name}.",
        "One has to {k.cook} {k.name} [slowly|with care|for {number} minutes].",
        "In {t.name} people eat {k.name} for {k.meal}.",
        "{p.name} {k.cooked} {k.name} for {p.his} friend {p.friend}.",
        "The secret of good {k.name} is plenty of {k.two}.",
        "{p.name} prefers {p.dish}, but {p.he} eats {k.name} too.",
        "{k.name} and {p.dish} were on the table.",
        "The smell of {k.name} filled the whole kitchen.",
    ],
    close: &[
        "[It tasted very good.|Nothing was left on the table.|Everybody said that it was delicious.]",
        "They ate {manner} and asked for more.",
    ],
};

const TREE: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{a u.name} tree stands {place}.",
        "{p.name} planted {a u.name} tree in {p.his} garden.",
        "The fruit of the {u.name} tree is called {a u.fruit}.",
    ],
    body: &[
        "The {u.name} tree bears {u.fruits}.",
        "Ripe {u.fruits} are {u.colour}.",
        "In {u.month} the {u.fruits} are ripe.",
        "People gather {u.fruits} in {u.month}.",
        "{p.name} filled {number} baskets with {u.colour} {u.fruits}.",
        "{a a.one} sat under the {u.name} tree and {a.sounded}.",
        "{p.name} gave {p.friend} a basket of {u.fruits}.",
        "The leaves of the {u.name} tree fall in autumn.",
    ],
    close: &["A tree lives longer than a man.", "The old tree has seen many summers."],
};

const SUMS: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "{p.name} likes to count things.",
        "{p.name} went to the market on {d.name}.",
        "The teacher asked {p.name} a question about {n.things}.",
    ],
    body: &[
        "{p.name} had {n.mores}, and {o.name} gave {p.him} {n.less} more, so then {p.he} had {n.sums}.",
        "{p.name} had {n.mores} and lost {n.lesses}, so {p.he} had {n.diffs} left.",
        "{n.More} and {n.less} make {n.sum}.",
        "If you have {n.mores} and find {n.lesses}, you have {n.sums}.",
        "{o.name} bought {n.lesses}, but {p.name} bought {n.mores}.",
        "There were {n.mores} in the basket, and then {p.name} put in {n.less} more, which made {n.sum}.",
        "One {n.thing} costs {number} pennies.",
        "{p.He} counted the {n.things} twice [because {p.he} was careful|to be sure].",
    ],
    close: &["The sum was right.", "{p.name} was {f.name} and {f.did}."],
};

const SENSE: Topic = Topic {
    who: Who::Anyone,
    open: &[
        "Some things everybody knows.",
        "Who is not {q.a} may be {q.b}.",
        "{p.name} once asked {p.friend} what everybody should know.",
    ],
    body: &[
        "The opposite of {q.a} is {q.b}.",
        "What is not {q.a} is often {q.b}.",
        "{r.thing} is always {r.colour}.",
        "Everybody knows that {r.thing} is {r.colour}.",
        "{a c.big} is larger than {a c.small}.",
        "{a c.small} is smaller than {a c.big}.",
        "No {c.small} is as large as {a c.big}.",
        "{p.name} was {q.a}, but {o.name} was {q.b}.",
        "{a p.trade} has {p.his} {p.tool}, and {a o.trade} has {o.his} {o.tool}.",
        "{a a.one} does not {b.sound}, and {a b.one} does not {a.sound}.",
        "One needs {x.an} to {x.use}.",
        "Nobody can {v.base} {a v.obj} and {w.base} {a w.obj} [at the same time|with one hand].",
    ],
    close: &["It has always been so.", "Only a fool would say otherwise."],
};
