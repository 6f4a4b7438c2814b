//! Which templates are kept, and by which rule. Only a table; knows nothing of arguments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// How the text of a template follows from its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The argument at this place, or the one that is named `text`, `content` or `label`.
    Nth(usize),
    /// The last argument.
    Last,
    /// All arguments, one directly after the other.
    Joined,
    /// All arguments with spaces between them.
    Spaced,
    /// This text, whatever the arguments.
    Fixed(&'static str),
    /// This text in front of the first argument, or the text alone.
    Before(&'static str),
    /// This text after the first argument, or the text alone.
    After(&'static str),
    /// The first argument between these.
    Around(&'static str, &'static str),
    /// An amount of this currency, whose sign stands in front.
    Money(&'static str),
    /// A quotation that is a paragraph of its own.
    Quotation,
    /// A quotation in a sentence; a reference if nothing but named arguments stands there.
    Citation,
    /// A measure with its unit.
    Convert,
    /// A number, its digits in groups.
    Number,
    /// A number with uncertainty, exponent and unit.
    Value,
    /// A number and a unit in the French order.
    Unit,
    /// A fraction.
    Fraction,
    /// Year, month, day.
    Date,
    /// A date, and the age that follows from two.
    DeathDate,
    /// Day, month and year as they are written, in the French order.
    WrittenDate,
    /// `×10` and a power; `e` alone is a French ending.
    Exponent,
    /// A chemical formula.
    Chemical,
    /// Old and new style.
    OldStyleDate,
    /// `As of` and a date.
    AsOf,
    /// The years between two dates.
    Age,
    /// `c.` and years.
    Circa(&'static str),
    /// Text in the language that the template's name or first argument names.
    Language,
    /// A word of the language that the argument at this place names, as dictionaries derive it.
    Etymology(usize),
    /// The name of a language alone.
    LanguageName,
    /// The parts of a word, behind its language; hyphens are put behind the first or in front of the last ones.
    Affix { prefix: bool, suffix: bool },
    /// A link to another language's wiki.
    Interlanguage,
    /// An address or its label.
    Url,
    /// Japanese, Chinese: the word, its script and its sound.
    Nihongo,
    /// See above.
    Chinese,
    /// A ship: prefix, name, number.
    Ship,
    /// A class of ships.
    ShipClass,
    /// Raised, lowered.
    Script(bool),
    /// French centuries.
    Century,
    /// Hours and minutes in the French way.
    Hour,
    /// `♯`, `♭`, `♮`.
    Music,
}

use Rule::*;

/// Names in lower case, with `|` between those of one rule.
const RULES: &[(&str, Rule)] = &[
    (
        "nowrap|nobr|nobreak|no break|no wrap|nowr|nwr|j|small|smaller|smaller2|large|larger|big|\
         bigger|huge|em|strong|bold|italic|italics|underline|uline|overline|strike|s2|smallcaps|\
         small caps|sc|sc2|smallcaps2|small-caps|petites capitales|abbr|abbreviation|abk|tooltip|\
         hover title|mono|tt|kbd|var|samp|code|math|mvar|mathematik|bigmath|intmath|nobold|noitalic|\
         noitalics|normal|nonbold|roman-text|center|centre|unicode|polytonic|hebrew|arabic|nihongo2|\
         jpn|vanchor|visible anchor|anchord|typo|as written|proper name|annotated link|flag|flagu|\
         flagcountry|flag link|highlight|tq|tqi|noflip|blue|green|italics correction|lzb|surligner|\
         souligner|gras|corsivo|maiuscoletto|tachado|versalitas|versalita|маленький|мелко|\
         цвет текста|nohyphen|wrap|kern|taxlink|taxlinknew|vern|specieslite|spelling|oldstyle|\
         fakebold|varserif|serif|sans-serif|sans serif|visibleanchor|railgauge|track gauge",
        Nth(1),
    ),
    (
        "lang|langue|en langue|lingua|lang2|lang+|rtl-lang|ltr|wikt-lang|wt|llang|язык|sort|resize|font size|\
         fontsize|fs|color|colour|font color|fontcolor|font colour|couleur|farbe|colored text|\
         fgcolor|bgcolor|background color|align|script|script/hebrew|tr|l|m|mention|link|hiddensort|\
         wikilang|цвет",
        Nth(2),
    ),
    ("w|wp|pedia", Last),
    ("sic", Joined),
    ("e", Exponent),
    ("chem|chem2", Chemical),
    ("transl|transliteration|translit|tlit|xlit|romanize|umschrift", Last),
    ("not a typo|notatypo|linktext|link text", Joined),
    ("sortname|bibleverse|bibleref|bibleref2|bibleverse-lb|sortnom|bible verse", Spaced),
    ("ndash|en dash|–|endash|nsndns|nbndash", Fixed("–")),
    ("snd|spaced ndash|spndash|spaced en dash|sndash|spnd|snds|nbsndash", Fixed(" – ")),
    ("mdash|mdashb|em dash|—|emdash|tiret", Fixed("—")),
    ("spaced mdash|smd|sem|spaced em dash|nbsmdash", Fixed(" — ")),
    ("'|apostrophe|’", Fixed("'")),
    ("' \"|'\"", Fixed("' \"")),
    ("\" '|\"'", Fixed("\" '")),
    ("'s", Fixed("'s")),
    ("'-|-'", Fixed("'")),
    ("=", Fixed("\u{6}")),
    ("!|pipe|ǀ", Fixed("|")),
    ("(", Fixed("(")),
    (")", Fixed(")")),
    ("nbsp|nb|space|spaces|thinsp|thin space|hair space|hairsp|pad|sp|espace|ensp|emsp|nnbsp", Fixed(" ")),
    ("shy|wbr|zwsp|zwj|zwnj|0|word joiner|wj|hsp", Fixed("")),
    ("...|ellipsis|nb...|…", Fixed("…")),
    ("•|bull|bullet|dot|·|middot|nbmiddot|nbdot|nb·", Fixed(" · ")),
    ("pi", Fixed("π")),
    ("phi", Fixed("φ")),
    ("tau", Fixed("τ")),
    ("hbar|ℏ", Fixed("ħ")),
    ("infin|infinity", Fixed("∞")),
    ("times|×|x-sign", Fixed("×")),
    ("minus|-sign|−", Fixed("−")),
    ("prime|′", Before("′")),
    ("pprime|″", Before("″")),
    ("degree|deg", After("°")),
    ("höhe", After(" m")),
    ("percent|pct", Fixed("%")),
    ("numero|no.", Before("No. ")),
    ("n°|no|numéro|nº", Before("n° ")),
    ("nos.", Before("Nos. ")),
    ("p.", Before("p. ")),
    ("±|+-|plusmn|plus-minus", Before("± ")),
    ("radic|sqrt|√", Before("√")),
    ("×10^|x10^", Exponent),
    ("10^", Before("10^")),
    ("ier", Fixed("Ier")),
    ("1er", Fixed("1er")),
    ("ire", Fixed("Ire")),
    ("1re", Fixed("1re")),
    ("er", Fixed("er")),
    ("re", Fixed("re")),
    ("isbn|isbnt|isbn2", Before("ISBN ")),
    ("angbr|vr|angle bracket|angbracket|angled brackets|anglebracket", Around("⟨", "⟩")),
    ("bracket|brackets|square bracket|crochets", Around("[", "]")),
    ("braces", Around("{", "}")),
    ("abs|mabs", Around("|", "|")),
    ("gloss|single-quote|single quote", Around("‘", "’")),
    ("\"", Around("„", "“")),
    ("incise", Around(" – ", " – ")),
    ("guillemets|«", Around("« ", " »")),
    ("literal translation|lit|literally|lit.", Around("lit. '", "'")),
    ("us$|usd|us dollar|$us|$", Money("$")),
    ("a$|aud|au$", Money("A$")),
    ("ca$|c$|cad|can$", Money("C$")),
    ("nz$|nzd", Money("NZ$")),
    ("hk$|hkd", Money("HK$")),
    ("nt$|ntd|twd", Money("NT$")),
    ("s$|sgd", Money("S$")),
    ("£|gbp|pound|pound sterling|pounds sterling|livre sterling", Money("£")),
    ("€|euro|eur", Money("€")),
    ("inr|indian rupee|rupee|indian rupees|inrconvert|₹", Money("₹")),
    ("jpy|¥|yen|japanese yen", Money("¥")),
    ("cny|rmb|yuan|chinese yuan", Money("CN¥")),
    ("krw|won|₩|south korean won", Money("₩")),
    ("rub|ruble|₽|russian ruble", Money("₽")),
    ("php|philippine peso|phpconvert|₱", Money("₱")),
    ("uah|hryvnia|₴", Money("₴")),
    ("ils|nis|shekel|₪", Money("₪")),
    ("tl|try|turkish lira|₺", Money("₺")),
    ("brl|r$", Money("R$")),
    ("zar|south african rand", Money("R")),
    ("ngn|₦|naira", Money("₦")),
    ("vnd|₫", Money("₫")),
    ("chf", Money("CHF ")),
    ("sek", Money("SEK ")),
    ("nok", Money("NOK ")),
    ("dkk", Money("DKK ")),
    ("irr|pkr|pkrconvert", Money("Rs. ")),
    (
        "quote|blockquote|block quote|cquote|quotation|bquote|quote text|quotetext|longquote|rquote|\
         centered pull quote|pull quote|long quote|poemquote|poem quote|poem|poème|zitat|\
         citation bloc|citation longue|cita|cita bloque|citazione|citaat|cytat|citação|цитата|\
         начало цитаты|цитата2|talkquote",
        Quotation,
    ),
    ("citation", Citation),
    ("convert|cvt|convinfobox|conv|convertion|conversion|umrechnen|convertir", Convert),
    (
        "nts|formatnum|format num|formatprice|format price|fnum|formatnumber|formnum|digits|grouped|commify",
        Number,
    ),
    ("nombre|tmp|unité|unite|unidad|unità|einheit|число", Unit),
    ("val|valu", Value),
    ("frac|fraction|sfrac|mfrac|bruch|tfrac|½|дробь|frac2|sfrac2", Fraction),
    (
        "date|start date|end date|start-date|end-date|birth date|birth-date|dob|birthdate|\
         birth date and age|birth-date and age|bda|dts|start date and age|release date|datum|\
         date table sorting|date sort|birth year and age|birth year|fecha|fecha de nacimiento|\
         fecha de inicio|дата|film date|birth date and age2|birth-date/age|launch date|opening date|\
         event date|inception date",
        Date,
    ),
    (
        "death date|death-date|death date and age|death-date and age|death year and age|dda|\
         deathdateandage|fecha de fallecimiento|end date and age",
        DeathDate,
    ),
    ("date-|date de naissance|date de décès|date naissance|date décès|date de naissance-", WrittenDate),
    (
        "oldstyledate|oldstyledatedy|oldstyledatenodate|old style date|oldstyle date|os date|julgreg",
        OldStyleDate,
    ),
    ("as of|asof|as of?|since", AsOf),
    ("age|age in years|age nts|âge|возраст|alter", Age),
    ("circa|c.|ca.|ca|around|vers|ок|około", Circa("c. ")),
    ("floruit|fl.|fl", Circa("fl. ")),
    ("reign|r.", Circa("r. ")),
    ("langx", Language),
    (
        "ill|interlanguage link|interlanguage link multi|illm|ill2|lien|link-interwiki|iw|iw2|\
         не переведено|не переведено 5|нп5|нп|нп3|仮リンク|le|link-en|internal link helper/en|\
         link-interlang|tsl|translink|llien|okl|enlaces interlingüísticos|translated page link|\
         ill-wd|ill-wd2",
        Interlanguage,
    ),
    ("url|official url|url2", Url),
    ("nihongo|nihongo krt|nihongo foot|nihongo4|japonais", Nihongo),
    ("nihongo3", Spaced),
    ("zh|chinese|zh-full", Chinese),
    (
        "uss|hms|hmas|hmcs|hmnzs|hmt|ss|mv|rms|rmms|sms|js|rfa|usns|uscgc|usat|hmy|hmhs|hdms|hnoms|\
         hswms|orp|gts|mts|sv|navio|schiff",
        Ship,
    ),
    ("ship|barco|navire", Ship),
    ("sclass|sclass-|sclass2|sclass2-", ShipClass),
    ("sup|exp|exposant|^", Script(true)),
    ("sub|ind|indice", Script(false)),
    ("s|s-|siècle|siecle|s mini|s mini-|-s|-s-|s2-|sigle siècle", Century),
    ("heure|heures", Hour),
    ("inh|inherited|der|derived|bor|borrowed|lbor|learned borrowing|inh+|der+|bor+|uder", Etymology(2)),
    ("cog|cognate|noncog|ncog|m+", Etymology(1)),
    ("etyl", LanguageName),
    ("affix|af|compound|com|blend", Affix { prefix: false, suffix: false }),
    ("prefix|pre", Affix { prefix: true, suffix: false }),
    ("suffix|suf", Affix { prefix: false, suffix: true }),
    ("confix|con", Affix { prefix: true, suffix: true }),
    ("music|sharp|flat|natural", Music),
];

static BY_NAME: LazyLock<BTreeMap<&str, Rule>> = LazyLock::new(|| {
    RULES.iter().flat_map(|(names, rule)| names.split('|').map(|name| (name, *rule))).collect()
});

/// The rule for a template, if it is kept. The names of some carry an argument.
pub(super) fn rule(name: &str, language: &str) -> Option<Rule> {
    if let Some(rule) = BY_NAME.get(name) {
        return Some(*rule);
    }
    let german = || language == "de" && matches!(name.len(), 3 | 4) && name.ends_with('s') && name.is_ascii();
    if name.starts_with("lang-") {
        Some(Language)
    } else if name.starts_with("script/") || name.starts_with("vol-") || german() {
        Some(Nth(1))
    } else if name.ends_with(" siècle") || is_ordinal(name) {
        Some(Century)
    } else {
        None
    }
}

/// `84e`: how French wikis write ordinals.
fn is_ordinal(name: &str) -> bool {
    let letters = name.trim_start_matches(|char: char| char.is_ascii_digit());
    letters.len() < name.len() && matches!(letters, "e" | "er" | "re" | "ème" | "è")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_one_rule() {
        let names: Vec<&str> = RULES.iter().flat_map(|(names, _)| names.split('|')).collect();
        for (index, name) in names.iter().enumerate() {
            assert!(!names[..index].contains(name), "{name} stands there twice");
            assert_eq!(*name, name.to_lowercase().trim());
        }
        assert_eq!(names.len(), BY_NAME.len());
    }

    #[test]
    fn names_with_an_argument_in_them() {
        assert_eq!(rule("lang-de", "en"), Some(Rule::Language));
        assert_eq!(rule("ens", "de"), Some(Rule::Nth(1)));
        assert_eq!(rule("ens", "en"), None);
        assert_eq!(rule("xixe siècle", "fr"), Some(Rule::Century));
        assert_eq!(rule("84e", "fr"), Some(Rule::Century));
        assert_eq!(rule("infobox person", "en"), None);
    }
}
