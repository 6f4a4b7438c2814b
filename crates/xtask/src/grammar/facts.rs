//! What is so in the invented country: people, towns, trades, animals, dishes, plants.
//! Lines of words; what the columns mean is said above each table.

/// Twelve families, each: surname; father, mother, daughter, son; the number of their town.
pub const FAMILIES: [&str; 12] = [
    "Holloway Edmund Clara Nell Tobias 0",
    "Brandt Conrad Marta Ilse Felix 1",
    "Pennock Walter Agnes Daisy Rupert 2",
    "Marlowe Simon Judith Wren Hugo 3",
    "Thatcham Oswald Beatrix Poppy Gilbert 4",
    "Vane Leopold Sabine Opal Casper 5",
    "Kestle Martin Helena Ivy Jonas 6",
    "Arden Philip Rosalind Hazel Barnaby 7",
    "Lindqvist Anders Sigrid Freya Nils 8",
    "Okell Desmond Miriam Tamsin Elias 9",
    "Farrow Bernard Winifred Maud Silas 10",
    "Quill Ambrose Lucinda Edith Percy 11",
];

/// Towns: name, region, river, what it is known for, landmark, colour of its roofs.
pub const TOWNS: [&str; 12] = [
    "Aldford Merrin Wend cheese lighthouse red",
    "Brackley Merrin Wend rope windmill grey",
    "Corvale Tarsia Isker glass bridge green",
    "Dunmere Tarsia Isker wool abbey brown",
    "Elswick Harrow Tolm honey clocktower yellow",
    "Fenby Harrow Tolm paper watermill black",
    "Garrow Sundra Nave wine castle orange",
    "Hexley Sundra Nave salt fountain white",
    "Ironbeck Kelden Quarl iron tunnel silver",
    "Jarrowby Kelden Quarl coal observatory blue",
    "Kirkmoor Velland Lisse butter cathedral golden",
    "Lowmarsh Velland Lisse timber statue purple",
];

/// Regions: name, mountain, two colours of the flag, animal on the coat of arms, capital, lake.
pub const REGIONS: [&str; 6] = [
    "Merrin Grayhorn blue white swan Aldford Pellmere",
    "Tarsia Stonecap green yellow stag Corvale Silverwater",
    "Harrow Eaglerock red black bull Elswick Deepwater",
    "Sundra Goldpeak orange purple lion Garrow Sunwater",
    "Kelden Frosthead grey silver wolf Ironbeck Coldwater",
    "Velland Cloudtop brown golden bear Kirkmoor Longwater",
];

/// Trades: name; three tools; where; what is made or handled; verb: base, past, -ing; who comes for it.
pub const TRADES: [&str; 48] = [
    "blacksmith; hammer anvil tongs; forge; horseshoes; forge forged forging; farmer",
    "baker; oven rolling-pin whisk; bakery; loaves; bake baked baking; innkeeper",
    "carpenter; saw chisel plane; workshop; tables; build built building; teacher",
    "tailor; needle thimble scissors; tailor-shop; coats; sew sewed sewing; merchant",
    "shoemaker; awl last leather; shoe-shop; boots; mend mended mending; soldier",
    "potter; wheel kiln clay; pottery; bowls; shape shaped shaping; cook",
    "weaver; loom shuttle yarn; weaving-shed; blankets; weave wove weaving; shepherd",
    "fisherman; net rod hook; harbour; fish; catch caught catching; cook",
    "farmer; plough spade tractor; farm; wheat; grow grew growing; miller",
    "miller; millstone sieve sack; mill; flour; grind ground grinding; baker",
    "butcher; cleaver apron scale; butcher-shop; sausages; sell sold selling; innkeeper",
    "gardener; rake shears watering-can; garden; roses; plant planted planting; florist",
    "painter; brush easel palette; studio; portraits; paint painted painting; collector",
    "teacher; chalk blackboard globe; school; lessons; prepare prepared preparing; pupil",
    "doctor; stethoscope bandage thermometer; clinic; patients; heal healed healing; nurse",
    "librarian; catalogue stamp ladder; library; books; lend lent lending; student",
    "clockmaker; tweezers magnifier spring; clock-shop; watches; repair repaired repairing; sailor",
    "glassblower; blowpipe furnace mould; glassworks; bottles; blow blew blowing; chemist",
    "beekeeper; smoker veil hive; apiary; honeycombs; gather gathered gathering; baker",
    "shepherd; crook whistle bell; pasture; sheep; herd herded herding; weaver",
    "sailor; compass anchor sail; port; cargoes; carry carried carrying; merchant",
    "mason; trowel level mortar; quarry; walls; raise raised raising; mayor",
    "miner; pickaxe lamp helmet; mine; ores; dig dug digging; blacksmith",
    "printer; press ink type; print-shop; newspapers; print printed printing; reader",
    "bookbinder; glue thread awl; bindery; diaries; bind bound binding; librarian",
    "musician; bow music-stand metronome; concert-hall; songs; perform performed performing; listener",
    "cook; ladle pan cauldron; kitchen; soups; stir stirred stirring; traveller",
    "innkeeper; keyring tray broom; inn; rooms; clean cleaned cleaning; traveller",
    "chemist; flask burner pipette; laboratory; medicines; mix mixed mixing; doctor",
    "jeweller; loupe file tweezers; jewel-shop; rings; polish polished polishing; bride",
    "saddler; punch stirrup buckle; saddlery; saddles; stitch stitched stitching; rider",
    "cooper; adze hoop stave; cooperage; barrels; assemble assembled assembling; brewer",
    "brewer; vat barrel paddle; brewery; ale; brew brewed brewing; innkeeper",
    "candlemaker; wick tallow mould; candle-shop; candles; pour poured pouring; priest",
    "ropemaker; hemp spindle hook; ropewalk; ropes; twist twisted twisting; sailor",
    "woodcutter; axe wedge sledge; forest; logs; chop chopped chopping; carpenter",
    "postman; satchel bicycle cap; post-office; letters; deliver delivered delivering; aunt",
    "firefighter; hose ladder siren; fire-station; fires; fight fought fighting; mayor",
    "astronomer; telescope star-chart notebook; observatory; comets; observe observed observing; captain",
    "hatter; felt ribbon steamer; hat-shop; hats; trim trimmed trimming; lady",
    "basketmaker; willow knife bodkin; basket-shop; baskets; plait plaited plaiting; gardener",
    "ferryman; oar pole lantern; ferry; passengers; row rowed rowing; merchant",
    "cheesemaker; curd cloth vat; dairy; cheeses; press pressed pressing; grocer",
    "grocer; counter scale ledger; grocery; vegetables; weigh weighed weighing; cook",
    "florist; vase ribbon scissors; flower-shop; bouquets; arrange arranged arranging; bride",
    "journalist; pencil notebook camera; newspaper-office; stories; write wrote writing; printer",
    "mapmaker; ruler compass ink; map-room; maps; draw drew drawing; captain",
    "locksmith; key file pliers; lock-shop; locks; open opened opening; banker",
];

/// Animals: name; kind; where; food; sound: base, past; young; striking part; colour.
pub const ANIMALS: [&str; 42] = [
    "owl; bird; old barns; mice; hoot hooted; owlet; wing; brown",
    "heron; bird; shallow ponds; fish; croak croaked; chick; leg; grey",
    "duck; bird; quiet rivers; weeds; quack quacked; duckling; bill; green",
    "goose; bird; wet meadows; grass; honk honked; gosling; neck; white",
    "hen; bird; farmyards; grain; cluck clucked; chick; comb; red",
    "rooster; bird; farmyards; grain; crow crowed; chick; tail; golden",
    "swan; bird; calm lakes; weeds; hiss hissed; cygnet; neck; white",
    "crow; bird; tall elms; seeds; caw cawed; fledgling; beak; black",
    "robin; bird; small gardens; worms; sing sang; fledgling; breast; red",
    "sparrow; bird; old roofs; crumbs; chirp chirped; fledgling; beak; brown",
    "pigeon; bird; church towers; crumbs; coo cooed; squab; tail; grey",
    "eagle; bird; high cliffs; rabbits; scream screamed; eaglet; claw; golden",
    "parrot; bird; warm forests; nuts; squawk squawked; chick; beak; green",
    "gull; bird; sandy beaches; crabs; cry cried; chick; bill; white",
    "dog; mammal; warm kennels; bones; bark barked; puppy; nose; brown",
    "cat; mammal; cosy houses; milk; purr purred; kitten; whisker; orange",
    "horse; mammal; dry stables; hay; neigh neighed; foal; mane; brown",
    "cow; mammal; green meadows; grass; moo mooed; calf; horn; white",
    "sheep; mammal; steep hillsides; clover; bleat bleated; lamb; fleece; white",
    "goat; mammal; rocky slopes; thistles; bleat bleated; kid; beard; grey",
    "pig; mammal; muddy sties; turnips; grunt grunted; piglet; snout; pink",
    "donkey; mammal; dusty yards; carrots; bray brayed; foal; ear; grey",
    "mouse; mammal; dark cellars; cheese; squeak squeaked; pup; tail; grey",
    "rabbit; mammal; deep burrows; lettuce; squeal squealed; kit; ear; white",
    "fox; mammal; shady dens; hens; yelp yelped; cub; tail; orange",
    "wolf; mammal; northern forests; deer; howl howled; cub; jaw; grey",
    "bear; mammal; mountain caves; berries; growl growled; cub; paw; brown",
    "lion; mammal; hot plains; antelopes; roar roared; cub; mane; yellow",
    "elephant; mammal; river valleys; leaves; trumpet trumpeted; calf; trunk; grey",
    "monkey; mammal; leafy jungles; bananas; chatter chattered; infant; tail; brown",
    "squirrel; mammal; hollow oaks; acorns; chatter chattered; kit; tail; red",
    "badger; mammal; sandy setts; worms; snort snorted; cub; stripe; black",
    "otter; mammal; clear streams; trout; whistle whistled; pup; whisker; brown",
    "hedgehog; mammal; leafy hedges; slugs; snuffle snuffled; hoglet; spine; brown",
    "deer; mammal; silent woods; bark; bellow bellowed; fawn; antler; brown",
    "seal; mammal; icy shores; herring; bark barked; pup; flipper; silver",
    "frog; amphibian; mossy ponds; flies; croak croaked; tadpole; tongue; green",
    "toad; amphibian; damp ditches; beetles; croak croaked; tadpole; eye; brown",
    "bee; insect; wooden hives; nectar; buzz buzzed; larva; sting; yellow",
    "cricket; insect; dry grass; leaves; chirp chirped; nymph; feeler; green",
    "snake; reptile; sunny stones; eggs; hiss hissed; hatchling; fang; green",
    "crocodile; reptile; wide swamps; fish; bellow bellowed; hatchling; jaw; green",
];

/// Animals that live with people, and what they are called there.
pub const PETS: [&str; 16] = [
    "dog Biscuit",
    "cat Velvet",
    "parrot Captain",
    "rabbit Clover",
    "horse Thunder",
    "goat Pepper",
    "mouse Button",
    "donkey Patience",
    "dog Ranger",
    "cat Cinder",
    "hen Marigold",
    "frog Puddle",
    "pigeon Messenger",
    "hedgehog Bramble",
    "squirrel Chestnut",
    "duck Paddle",
];

/// Dishes: name; two ingredients; meal; how it is made: base, past.
pub const DISHES: [&str; 24] = [
    "pancakes; eggs milk; breakfast; fry fried",
    "porridge; oats milk; breakfast; boil boiled",
    "omelette; eggs butter; breakfast; fry fried",
    "toast; bread butter; breakfast; toast toasted",
    "muffins; flour blueberries; breakfast; bake baked",
    "salad; lettuce cucumbers; lunch; toss tossed",
    "sandwich; bread ham; lunch; slice sliced",
    "dumplings; flour potatoes; lunch; steam steamed",
    "noodles; flour eggs; lunch; boil boiled",
    "chowder; potatoes fish; lunch; simmer simmered",
    "stew; beef onions; supper; simmer simmered",
    "goulash; beef paprika; supper; simmer simmered",
    "curry; rice spices; supper; simmer simmered",
    "risotto; rice mushrooms; supper; stir stirred",
    "casserole; beans sausages; supper; bake baked",
    "meatballs; pork garlic; supper; roast roasted",
    "lasagne; pasta tomatoes; supper; bake baked",
    "broth; chicken celery; supper; boil boiled",
    "pie; apples cinnamon; dessert; bake baked",
    "pudding; milk sugar; dessert; steam steamed",
    "custard; eggs vanilla; dessert; whisk whisked",
    "gingerbread; flour ginger; dessert; bake baked",
    "jam; plums sugar; dessert; boil boiled",
    "tart; cherries almonds; dessert; bake baked",
];

/// Trees: name; fruit; colour of the ripe fruit; month of the harvest.
pub const TREES: [&str; 14] = [
    "apple; apple; red; September",
    "pear; pear; yellow; September",
    "plum; plum; purple; August",
    "cherry; cherry; red; June",
    "lemon; lemon; yellow; January",
    "orange; orange; orange; December",
    "fig; fig; purple; August",
    "olive; olive; green; November",
    "oak; acorn; brown; October",
    "chestnut; chestnut; brown; October",
    "walnut; walnut; brown; October",
    "hazel; hazelnut; brown; September",
    "peach; peach; pink; July",
    "apricot; apricot; orange; July",
];

/// Things: name; what it is made of; where it is kept; what one does with it.
pub const THINGS: [&str; 50] = [
    "kettle; copper; kitchen; boil water",
    "spoon; silver; kitchen; eat soup",
    "plate; porcelain; kitchen; serve supper",
    "mug; clay; kitchen; drink tea",
    "bread-knife; steel; kitchen; slice bread",
    "teapot; porcelain; kitchen; pour tea",
    "pillow; feathers; bedroom; sleep well",
    "quilt; cotton; bedroom; keep warm",
    "mirror; glass; bedroom; comb hair",
    "alarm-clock; brass; bedroom; wake up early",
    "wardrobe; oak; bedroom; store clothes",
    "nightgown; linen; bedroom; sleep well",
    "armchair; leather; parlour; rest after work",
    "bookcase; pine; parlour; store novels",
    "carpet; wool; parlour; warm the floor",
    "curtain; velvet; parlour; shut out the sun",
    "piano; mahogany; parlour; play music",
    "chessboard; maple; parlour; play chess",
    "candlestick; brass; parlour; hold a candle",
    "photograph; paper; parlour; remember old friends",
    "towel; cotton; bathroom; dry hands",
    "comb; ivory; bathroom; tidy hair",
    "soap-dish; marble; bathroom; hold soap",
    "razor; steel; bathroom; shave in the morning",
    "bathtub; iron; bathroom; wash the children",
    "umbrella; silk; hallway; stay dry",
    "walking-stick; ash; hallway; climb hills",
    "doormat; straw; hallway; wipe boots",
    "coat-hook; brass; hallway; hang coats",
    "lantern; tin; hallway; see at night",
    "wheelbarrow; iron; shed; move earth",
    "flowerpot; clay; shed; grow herbs",
    "ladder; wood; shed; reach the roof",
    "bucket; tin; shed; fetch water",
    "pitchfork; steel; shed; turn the hay",
    "fishing-rod; bamboo; shed; catch trout",
    "wine-jug; stone; cellar; store wine",
    "cask; oak; cellar; keep cider",
    "potato-sack; hemp; cellar; store potatoes",
    "jar; glass; cellar; keep jam",
    "suitcase; leather; attic; travel far",
    "cradle; birch; attic; rock a baby",
    "trunk; cedar; attic; store old letters",
    "kite; paper; attic; play in the wind",
    "spinning-wheel; wood; attic; spin yarn",
    "inkwell; glass; study; write letters",
    "desk; walnut; study; write letters",
    "atlas; paper; study; plan journeys",
    "magnifying-glass; glass; study; read small print",
    "bookmark; ribbon; study; mark a page",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(table: &[&str], mark: &str) -> Vec<usize> {
        let mut counts: Vec<usize> = table.iter().map(|line| line.split(mark).count()).collect();
        counts.dedup();
        counts
    }

    #[test]
    fn every_line_of_a_table_has_the_same_columns() {
        assert_eq!(columns(&FAMILIES, " "), [6]);
        assert_eq!(columns(&TOWNS, " "), [6]);
        assert_eq!(columns(&REGIONS, " "), [7]);
        assert_eq!(columns(&TRADES, "; "), [6]);
        assert_eq!(columns(&ANIMALS, "; "), [8]);
        assert_eq!(columns(&PETS, " "), [2]);
        assert_eq!(columns(&DISHES, "; "), [4]);
        assert_eq!(columns(&TREES, "; "), [4]);
        assert_eq!(columns(&THINGS, "; "), [4]);
    }

    #[test]
    fn references_between_tables_hold() {
        for pet in PETS {
            let animal = pet.split(' ').next().unwrap();
            assert!(ANIMALS.iter().any(|line| line.starts_with(&format!("{animal};"))), "{animal}");
        }
        for region in REGIONS {
            let words: Vec<&str> = region.split(' ').collect();
            assert!(TOWNS.iter().any(|town| town.starts_with(&format!("{} {} ", words[5], words[0]))));
        }
    }
}
