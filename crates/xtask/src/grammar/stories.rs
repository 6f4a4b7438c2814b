//! Stories and dialogues: paragraphs whose sentences stand in a fixed order and keep to one scene.
//! Sentences only; what the keys stand for is the scene's business.

/// A story: paragraphs, each a list of sentences.
pub type Story = &'static [&'static [&'static str]];

/// All of them; the people in them may be anyone.
pub const STORIES: &[Story] =
    &[LOST, JOURNEY, STRANGER, STORM, PRESENT, CONTEST, MARKET, NIGHT, QUARREL, FAIR, SICK, LETTER];

/// Conversations.
pub const DIALOGUES: &[Story] =
    &[WHERE, WHAT, CAPITAL, EATS, WHEN, TRADE, KITCHEN, RELATIVES, WEATHER, BORROW];

const LOST: Story = &[
    &[
        "[One morning|{Time}] {p.name} could not find {p.his} {x.one}.",
        "It was {a look} {x.one} made of {x.stuff}, and {p.he} needed it to {x.use}.",
        "[{p.He} looked {place}, but it was not there.|{p.He} asked {o.name}, but {o.he} had not seen it.]",
        "{p.name} was {f.name} and {f.did}.",
    ],
    &[
        "Then {o.name} came and helped {p.him}.",
        "Together they searched {place} and {place}.",
        "{p.petname} the {p.pet} ran ahead of them.",
        "At last they found the {x.one} [in the {x.room}|{place}|under a heap of {n.things}].",
        "[\"I should have looked in the {x.room} first,\" said {p.name}.|\"It was in the {x.room} all the time,\" said {o.name}.]",
        "{p.He} thanked {o.him} {manner}, and they both went home.",
    ],
];

const JOURNEY: Story = &[
    &[
        "{Time} {p.name} left {t.name} and took the road to {t.north}.",
        "{p.He} carried {a look} {x.one} and {n.mores}.",
        "The road led along the river {t.river} and past the {t.landmark}.",
        "In the distance {p.he} could see the {t.mountain}, the highest mountain in {t.region}.",
    ],
    &[
        "After {number} miles {p.he} met {o.name}, the {o.trade}, who came from {o.town}.",
        "\"Where are you going?\" asked {o.name}.",
        "\"I am going north to {t.north},\" {p.name} answered {manner}.",
        "{o.name} gave {p.him} {n.lesses} for the journey.",
        "They [rested|sat down|talked] {place} until the sun went down.",
    ],
    &[
        "On {d.next} {p.name} reached {t.north}.",
        "{p.He} was {f.name} and {f.did}.",
        "{p.He} [slept|stayed] at the inn and dreamed of {t.name}.",
    ],
];

const STRANGER: Story = &[
    &[
        "On {d.name} a stranger came to {p.town}.",
        "He had {number} {x.many} and {a look} {y.one}.",
        "Nobody knew him, and {p.name} was the [first|only one] who spoke to him.",
        "\"What do you want in {p.town}?\" {p.he} asked {manner}.",
        "\"I am looking for {a p.trade} who can {p.make} {p.goods},\" the stranger said.",
    ],
    &[
        "\"Then you have found one,\" said {p.name}, \"because I am {a p.trade}.\"",
        "{p.He} took the stranger to the {p.shop} and showed him the {p.tool1} and the {p.tool2}.",
        "They {v.past} {a v.obj} and {w.past} {a w.obj} before they talked about money.",
        "The stranger paid {number} coins and left {manner}.",
        "He was never seen in {p.region} again.",
    ],
];

const STORM: Story = &[
    &[
        "It was {s.name}, and {s.skypast}.",
        "{p.name} stood {place} and {v.past} {a v.obj}.",
        "Suddenly there was a [terrible|loud|deep] noise {place}.",
        "The {a.one} {a.sounded}, and the {b.one} {b.sounded}.",
    ],
    &[
        "{p.name} ran to the house of {o.name}.",
        "\"Come [quickly|at once], the {t.landmark} has fallen down!\" {p.he} cried.",
        "{o.name} took {o.his} {o.tool} and followed {p.him}.",
        "They worked all night, and {time} they were {f.name}.",
        "The people of {t.name} thanked them {manner}.",
    ],
];

const PRESENT: Story = &[
    &[
        "The birthday of {p.name} is in {p.month}.",
        "{o.name} wanted to give {p.him} a present.",
        "{o.He} knew that {p.name} loves the colour {p.colour}.",
        "So {o.he} bought {a p.colour} {x.one} {place}.",
        "It cost {n.more} coins, and {o.he} also bought {n.lesses}.",
    ],
    &[
        "When {p.name} opened the parcel, {p.he} {f.did}.",
        "\"How [kind|clever|generous] of you!\" said {p.name}.",
        "\"Now I can {x.use}.\"",
        "They ate {p.dish} for {p.meal}, and {p.name} played the {p.instrument}.",
        "Even {p.petname} the {p.pet} got {a.food}.",
    ],
];

const CONTEST: Story = &[
    &[
        "Every {s.name} there is a contest in {t.name}.",
        "This time {p.name} and {o.name} took part in it.",
        "Whoever {v.past} the largest {v.obj} would win {n.mores}.",
        "{p.name} worked {manner}, but {o.name} worked {manner}.",
    ],
    &[
        "{t.mayor}, the mayor of {t.name}, looked at everything {manner}.",
        "\"The {v.obj} of {p.name} is {q.a}, but the {v.obj} of {o.name} is {q.b},\" she said.",
        "So {p.name} won the contest and got {n.mores}.",
        "{p.He} gave {n.lesses} to {o.name}, who was {f.name}, and {p.he} kept {n.diffs}.",
    ],
];

const MARKET: Story = &[
    &[
        "On {d.name} {p.name} went to the market in {t.name}.",
        "{p.He} wanted to buy {n.mores} and {a x.one}.",
        "The {n.things} were {look}, and the {x.one} was made of {x.stuff}.",
        "\"How much is the {x.one}?\" {p.he} asked.",
        "\"It costs {number} coins,\" answered {o.name}, the {o.trade}.",
    ],
    &[
        "{p.name} paid {manner} and put the {x.one} into {p.his} basket.",
        "Then {p.he} met {a.many} that {a.sounded} and {a b.one} that {b.sounded}.",
        "On the way home {p.he} lost {n.lesses}, so only {n.diffs} were in the basket.",
        "{p.He} was {f.name} all the same.",
    ],
];

const NIGHT: Story = &[
    &[
        "Late at night {p.name} heard a noise in the {x.room}.",
        "{p.He} lit a candle and went [down the stairs|through the hallway] {manner}.",
        "In the {x.room} the {x.one} lay on the floor.",
        "\"Who is there?\" {p.he} asked, but nobody answered.",
    ],
    &[
        "Then something {a.sounded} behind the {y.one}.",
        "It was only {a a.one} that was looking for {a.food}.",
        "{p.name} gave the {a.one} some {a.food} and opened the door.",
        "The {a.one} {a.sounded} once more and disappeared into the dark.",
        "{p.name} went back to bed and slept until {d.next} morning.",
    ],
];

const QUARREL: Story = &[
    &[
        "{p.name} and {o.name} are friends, but once they had a quarrel.",
        "{p.name} had borrowed the {x.one} of {o.name} and had not brought it back.",
        "\"I need my {x.one} to {x.use},\" said {o.name}.",
        "\"I need it too,\" answered {p.name}, \"and I {v.past} your {v.obj} for it.\"",
    ],
    &[
        "For {number} days they did not speak to each other.",
        "Then {p.name} put the {x.one} in front of {o.his} door with {n.mores} beside it.",
        "{o.name} found it, and {o.he} was {f.name} and {f.did}.",
        "Since then they {v.base} {a v.obj} together every {d.name}.",
    ],
];

const FAIR: Story = &[
    &[
        "In {m.name} there is a fair in {t.name}.",
        "People come from {t.north} and from {t.south} to see it.",
        "They wear {s.clothes}, because in {s.name} {s.sky}.",
        "Above the {t.landmark} hangs the {t.flag1} and {t.flag2} flag of {t.region}.",
    ],
    &[
        "{p.name} the {p.trade} sells {p.goods}, and {o.name} the {o.trade} sells {o.goods}.",
        "There are {number} {a.many} and {number} {b.many}.",
        "The {a.many} {a.sound}, and the {b.many} {b.sound}.",
        "Somebody plays the {instrument}, and the children dance {place}.",
        "When the fair is over, the streets of {t.name} are quiet again.",
    ],
];

const SICK: Story = &[
    &[
        "{p.name} was sick and stayed in bed for {number} days.",
        "{p.His} face was {q.a} and {p.his} voice was {q.b}.",
        "The doctor came with the stethoscope and looked at {p.him} {manner}.",
        "\"You must drink tea and eat {k.name},\" the doctor said.",
    ],
    &[
        "So {o.name} took {k.one} and {k.two} and made {k.name}.",
        "{p.name} ate everything {manner}.",
        "On {d.name} {p.he} could {v.base} {a v.obj} again, and on {d.next} {p.he} was well.",
        "\"Nobody makes better {k.name} than you,\" {p.he} said to {o.name}.",
    ],
];

const LETTER: Story = &[
    &[
        "{p.name} sat at the desk and wrote a letter to {o.name} in {o.town}.",
        "\"It is {m.name} now, and {s.sky},\" {p.he} wrote.",
        "\"Yesterday I {v.past} {a v.obj}, and tomorrow I will {w.base} {a w.obj}.\"",
        "\"My {p.pet} {p.petname} sends you greetings.\"",
        "\"Please bring your {o.tool} when you come to {p.town}.\"",
    ],
    &[
        "The letter travelled for {number} days before {o.name} read it.",
        "{o.He} was {f.name}, took {o.his} {o.tool}, and set out for {p.town}.",
    ],
];

const WHERE: Story = &[&[
    "\"Where do you live?\" asked {o.name}.",
    "\"I live in {p.town}, on the river {p.river},\" {p.name} answered.",
    "\"And where is {p.town}?\" {o.he} wanted to know.",
    "\"It is in {p.region}, and the capital of {p.region} is {p.capital},\" said {p.name} {manner}.",
    "{o.name}, who lives in {o.town}, had never been there.",
]];

const WHAT: Story = &[&[
    "\"What is this?\" asked {p.name} and pointed at the {x.one}.",
    "\"That is {x.an}, and I use it to {x.use},\" said {o.name}.",
    "\"Is it made of {y.stuff} or of {x.stuff}?\" {p.he} asked.",
    "\"It is made of {x.stuff},\" {o.name} said, \"and it belongs in the {x.room}.\"",
]];

const CAPITAL: Story = &[&[
    "\"What is the capital of {t.region}?\" asked the teacher.",
    "\"The capital of {t.region} is {t.capital},\" answered {p.name}.",
    "\"And what are the colours of its flag?\" the teacher went on.",
    "\"The flag of {t.region} is {t.flag1} and {t.flag2},\" said {o.name}.",
    "\"Very good,\" the teacher said, \"and its highest mountain is the {t.mountain}.\"",
]];

const EATS: Story = &[&[
    "\"What does {a a.one} eat?\" {p.name} asked.",
    "\"{a a.one} eats {a.food},\" said {o.name}.",
    "\"And what does it say?\" {p.he} wanted to know.",
    "\"It {a.sounds},\" {o.name} answered, \"but {a b.one} {b.sounds}.\"",
    "\"And its child is called {a a.young},\" {o.he} added {manner}.",
]];

const WHEN: Story = &[&[
    "\"What day is it today?\" asked {p.name}.",
    "\"Today is {d.name}, so tomorrow is {d.next},\" said {o.name}.",
    "\"And when is your birthday?\" {p.he} asked {o.him}.",
    "\"My birthday is in {o.month},\" {o.name} answered, \"and yours is in {p.month}.\"",
]];

const TRADE: Story = &[&[
    "\"What do you do for a living?\" {o.name} asked {p.name}.",
    "\"I am {a p.trade}, and I {p.make} {p.goods},\" {p.he} said {manner}.",
    "\"What do you need for that?\" asked {o.name}.",
    "\"I need my {p.tool1} and my {p.tool2},\" said {p.name}, \"and you, {o.name}?\"",
    "\"I am {a o.trade}, and I work at the {o.shop} with my {o.tool},\" {o.he} answered.",
]];

const KITCHEN: Story = &[&[
    "\"What shall we have for {k.meal}?\" asked {o.name}.",
    "\"Let us make {k.name},\" said {p.name}.",
    "\"Then we need {k.one} and {k.two},\" {o.he} said.",
    "\"I have {k.one}, but I must buy {k.two},\" answered {p.name} and took {p.his} basket.",
]];

const RELATIVES: Story = &[&[
    "\"Who are your parents?\" asked the stranger.",
    "\"My father is {p.dad} and my mother is {p.mum},\" said {p.girl}.",
    "\"And who is that boy over there?\" he asked.",
    "\"That is my brother {p.boy},\" {p.girl} answered, \"and he is {a p.surname}, too.\"",
    "\"So {p.dad} is the husband of {p.mum},\" the stranger said {manner}.",
]];

const WEATHER: Story = &[&[
    "\"How is the weather in {t.name}?\" asked {o.name}.",
    "\"It is {m.name}, and {s.sky},\" said {p.name}.",
    "\"Then I will wear my {s.clothes},\" {o.he} answered.",
    "\"In {s.name} everybody should wear {s.clothes},\" said {p.name} {manner}.",
]];

const BORROW: Story = &[&[
    "\"May I borrow your {x.one}?\" {p.name} asked {o.name}.",
    "\"What do you need it for?\" {o.he} asked.",
    "\"I need it to {x.use},\" said {p.name}.",
    "\"Then take it, but bring it back on {d.name},\" {o.name} answered, \"because on {d.next} I need it myself.\"",
    "{p.name} thanked {o.him} and carried the {x.one} home {manner}.",
]];
