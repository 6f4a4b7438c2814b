//! What a language does with full stops that end no sentence: its abbreviations, its ordinal numbers, its words of
//! one letter. Tables only; where a sentence ends is decided elsewhere.

/// The rules of one language.
#[derive(Debug)]
pub(super) struct Rules {
    /// Titles and the like, after which a sentence goes on. What also ends sentences ("etc.") is not here. Outside
    /// English they count in capitals or not ("Sig." and "sig.").
    pub abbreviations: &'static [&'static str],
    /// Abbreviations only in front of a number: "No. 7", but "No. He went."
    pub numbered: &'static [&'static str],
    /// Words of one letter: "It was I." ends a sentence, "J. R. Smith" does not.
    pub words: &'static str,
    /// Whether a full stop makes a number ordinal: "am 3. Oktober".
    pub ordinals: bool,
    /// Whether a small letter with a full stop is an abbreviation: "z. B.", "ул. г. Москвы".
    pub small_letters: bool,
}

impl Rules {
    /// The rules of a language, by its code (`de`, `de-AT`); English ones where it is not known, and few where
    /// there are none for it.
    pub fn of(language: Option<&str>) -> &'static Rules {
        let Some(language) = language else { return &ENGLISH };
        match language.split(['-', '_']).next().unwrap_or(language) {
            "en" | "sco" => &ENGLISH,
            "de" | "nds" | "lb" | "gsw" | "bar" => &GERMAN,
            "fr" | "oc" => &FRENCH,
            "es" | "ca" | "gl" | "ast" => &SPANISH,
            "it" => &ITALIAN,
            "pt" => &PORTUGUESE,
            "nl" | "af" | "fy" => &DUTCH,
            "da" | "nb" | "no" | "nn" | "sv" | "is" | "fi" | "et" => &NORDIC,
            "pl" => &POLISH,
            "cs" | "sk" | "sl" | "hr" | "bs" => &CZECH,
            "hu" | "lv" | "ltg" | "lt" | "tr" | "eu" => &ORDINALS,
            "ru" | "uk" | "be" | "bg" | "sr" | "mk" => &RUSSIAN,
            _ => &OTHER,
        }
    }

    /// Whether a word is in a table.
    pub fn has(&self, table: &[&str], word: &str) -> bool {
        table.contains(&word)
            || self.small_letters && !word.is_empty() && {
                let word = word.to_lowercase();
                table.iter().any(|entry| entry.chars().flat_map(char::to_lowercase).eq(word.chars()))
            }
    }
}

/// What stands in front of a name more often than at the end of a sentence: "the U.S. Department of State".
pub(super) const MODIFIERS: &[&str] = &["U.K", "U.N", "U.S"];

/// Words that English sentences often begin with, and names do not.
const STARTERS: &str = "\
    A About After All Also Although An And Another Any As At Because Before Both But By During Each \
    Even For From Given He Her Here His How However I If In Instead It Its Last Later Many Meanwhile \
    More Most Much My Nor No None Not Now Of On Once One Only Or Other Others Our Over Perhaps She \
    Since So Some Such Than That The Their Then There These They This Those Though Through Thus To \
    Today Under Unlike Until We What When Where Whether Which While Who Why With Within Without Yes \
    Yet You Your";

/// Whether what follows begins a sentence, as far as its first word can tell.
pub(super) fn begins_sentences(next: &str) -> bool {
    let word = next.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    // Quotation marks, brackets and numbers say no more.
    word.is_empty()
        || word.starts_with(|c: char| c.is_ascii_digit())
        || STARTERS.split(' ').any(|starter| starter == word)
}

const ENGLISH: Rules = Rules {
    abbreviations: &[
        "Adm", "Asst", "Brig", "Bros", "Capt", "Cmdr", "Col", "Comdr", "Cpl", "Dr", "Drs", "Fr", "Ft", "Gen",
        "Gov", "Hon", "Insp", "Lieut", "Lt", "M", "MM", "Maj", "Messrs", "Mlle", "Mme", "Mr", "Mrs", "Ms",
        "Mt", "Mx", "Pres", "Prof", "Rep", "Rev", "Sen", "Sergt", "Sgt", "Sr", "St", "Ste", "Supt", "cf",
        "e.g", "i.e", "viz", "vs", "v",
    ],
    numbered: &["Art", "Ch", "Chap", "Fig", "No", "Nos", "Vol", "Vols", "art", "ch", "fig", "no", "p", "pp"],
    words: "I",
    ordinals: false,
    small_letters: false,
};

const GERMAN: Rules = Rules {
    abbreviations: &[
        "Abg", "Bez", "Bf", "Bhf", "Ca", "Cie", "Co", "Dipl", "Dr", "Frl", "Gebr", "Gen", "Gf", "Hbf", "Hg",
        "Hl", "Hr", "Hrn", "Hrsg", "Hptm", "Ing", "Inh", "Jr", "Kfm", "Lt", "Mr", "Mrs", "Obst", "Pfr",
        "Priv", "Prof", "Red", "Reg", "Sr", "St", "Str", "Tel", "Univ", "Verf", "Vgl", "abzgl", "allg",
        "amtl", "bes", "betr", "bspw", "bzgl", "bzw", "ca", "d.h", "dgl", "dt", "ehem", "eigtl", "einschl",
        "engl", "evtl", "evang", "exkl", "franz", "frz", "geb", "gegr", "gest", "ggf", "griech", "hl",
        "hrsg", "i.d.R", "inkl", "insb", "insbes", "ital", "jap", "jr", "kath", "lat", "lt", "max", "mdal",
        "med", "mhd", "min", "mind", "nat", "niederl", "nördl", "o.g", "od", "phil", "poln", "preuß", "resp",
        "röm", "russ", "schweiz", "sen", "sog", "span", "spez", "südl", "u.a", "ung", "urspr", "usf", "verh",
        "verw", "vgl", "wg", "westl", "z.B", "z.T", "zit", "zz", "zzgl", "östl", "österr",
    ],
    numbered: &[
        "Abb", "Abs", "Abschn", "Anm", "Art", "Aufl", "Bd", "Bde", "Bl", "Fig", "H", "Jg", "Kap", "Nr",
        "Nrn", "Pos", "Rn", "S", "Sp", "Tab", "Vers", "Ziff",
    ],
    words: "",
    ordinals: true,
    small_letters: true,
};

const FRENCH: Rules = Rules {
    abbreviations: &[
        "Adm", "Av", "Bd", "Cf", "Cie", "Dr", "Drs", "Ex", "Gal", "Ing", "Lt", "M", "MM", "Me", "Mes", "Mgr",
        "Mlle", "Mlles", "Mme", "Mmes", "Mr", "Pr", "Prof", "Sr", "St", "Ste", "Tél", "adj", "anc", "apr",
        "av", "bd", "boul", "c.-à-d", "cf", "ch", "coll", "dir", "ex", "hab", "ill", "inv", "lat", "p.ex",
        "préf", "rééd", "tél", "trad", "éd", "env",
    ],
    numbered: &[
        "No", "Vol", "art", "chap", "col", "fasc", "fig", "no", "nos", "n°", "num", "p", "pl", "pp", "sect",
        "t", "v", "vol",
    ],
    words: "ayà",
    ordinals: false,
    small_letters: true,
};

const SPANISH: Rules = Rules {
    abbreviations: &[
        "Arq", "Av", "Avda", "Brig", "Cap", "Cía", "Cmdte", "Col", "D", "Dn", "Dña", "Dr", "Dra", "Dres",
        "Exc", "Excmo", "Fr", "Gob", "Gral", "Hno", "Hnos", "Ing", "Jr", "Lic", "Lcdo", "Mons", "Mr", "Mrs",
        "Mtro", "Pbro", "Pdte", "Prof", "Profa", "Rvdo", "Sgto", "Sr", "Sra", "Sras", "Sres", "Srta", "St",
        "Sta", "Sto", "Tte", "Ud", "Uds", "Vd", "Vds", "aprox", "av", "cf", "dir", "ed", "ej", "gral",
        "p.ej", "tel", "trad", "vs",
    ],
    numbered: &[
        "Art", "Cap", "Fig", "No", "Núm", "Vol", "art", "cap", "fig", "n", "no", "núm", "núms", "p", "pp",
        "pág", "págs", "t", "vol",
    ],
    words: "aeouy",
    ordinals: false,
    small_letters: true,
};

const ITALIAN: Rules = Rules {
    abbreviations: &[
        "Arch", "Avv", "Cap", "Cav", "Col", "Comm", "Dott", "Dr", "Egr", "Gen", "Geom", "Gent", "Ing",
        "Mons", "Mr", "On", "Prof", "Profs", "Rag", "Rev", "S", "Sen", "Sig", "Sigg", "Sig.na", "Sig.ra",
        "Sigra", "Spett", "Ten", "ca", "cd", "cfr", "ecc", "ed", "es", "lat", "p.es", "ss", "tel", "trad",
        "vs",
    ],
    numbered: &[
        "Art", "Cap", "Fig", "Vol", "art", "artt", "cap", "fig", "n", "nn", "nr", "p", "pag", "pagg", "pp",
        "t", "vol",
    ],
    words: "aeioèé",
    ordinals: false,
    small_letters: true,
};

const PORTUGUESE: Rules = Rules {
    abbreviations: &[
        "Arq", "Av", "Cap", "Cel", "Cia", "Cmte", "D", "Dep", "Dr", "Dra", "Drs", "Eng", "Exma", "Exmo",
        "Fr", "Gen", "Gov", "Ilmo", "Jr", "Mons", "Mr", "Pe", "Pres", "Prof", "Profa", "Rev", "Sen", "Sgt",
        "Sr", "Sra", "Srs", "Srta", "St", "Sta", "Sto", "Ten", "aprox", "cf", "ed", "ex", "p.ex", "tel",
        "trad", "vs",
    ],
    numbered: &[
        "Art", "Cap", "Fig", "Nº", "Vol", "art", "cap", "fig", "n", "no", "nº", "p", "pp", "pág", "págs",
        "t", "vol",
    ],
    words: "aeoàé",
    ordinals: false,
    small_letters: true,
};

const DUTCH: Rules = Rules {
    abbreviations: &[
        "Dr", "Drs", "Dhr", "Gebr", "Ing", "Ir", "Jhr", "Mevr", "Mgr", "Mr", "Mw", "Prof", "Sr", "St",
        "Sint", "bijv", "blz", "bv", "ca", "cq", "d.w.z", "dhr", "dr", "drs", "dwz", "evt", "excl", "geb",
        "gen", "ing", "incl", "ir", "jhr", "jl", "lat", "max", "mevr", "min", "mr", "mw", "nl", "o.a", "ong",
        "prof", "resp", "tel", "vgl", "vnl", "vs", "wo", "zgn",
    ],
    numbered: &["Afb", "Art", "Nr", "afb", "art", "dl", "hfst", "nr", "nrs", "p", "par", "pp", "vol"],
    words: "u",
    ordinals: false,
    small_letters: true,
};

/// Danish, Norwegian, Swedish, Icelandic, Finnish and Estonian.
const NORDIC: Rules = Rules {
    abbreviations: &[
        "Adm", "Chr", "Dr", "Fr", "Frk", "Hr", "Kgl", "Mag", "Prof", "Sct", "St", "bl.a", "bl", "ca", "cand",
        "d.v.s", "dr", "dvs", "eks", "ekskl", "esim", "evt", "ex", "f.eks", "fhv", "fr", "frk", "hr", "ifm",
        "inkl", "jf", "jfr", "kgl", "kl", "lat", "maks", "mht", "mm.fl", "mrk", "nim", "prof", "prs", "resp",
        "ruots", "s.k", "saks", "skt", "synt", "t.ex", "tlf", "tel", "vrt", "vs", "vsk",
    ],
    numbered: &[
        "Nr", "art", "bd", "fig", "kap", "kpl", "no", "nr", "p", "pp", "pt", "s", "sid", "ss", "st", "vol",
    ],
    words: "Iiåöæ",
    ordinals: true,
    small_letters: true,
};

const POLISH: Rules = Rules {
    abbreviations: &[
        "Bp", "Dr", "Gen", "Inż", "Ks", "Mec", "Płk", "Prof", "Św", "abp", "ang", "arch", "bp", "bł", "ca",
        "daw", "doc", "dr", "dyr", "franc", "gen", "godz", "gr", "hab", "hr", "im", "in", "inż", "jw",
        "kard", "kol", "kpt", "ks", "łac", "m.in", "mec", "mgr", "min", "mjr", "niem", "np", "nt", "o", "ob",
        "ok", "ol", "os", "p.o", "pl", "płk", "por", "pow", "ppłk", "prof", "red", "reż", "ros", "sp", "tel",
        "tj", "tzn", "tzw", "ul", "wg", "woj", "wł", "ww", "zob", "św",
    ],
    numbered: &[
        "Nr", "Rys", "art", "cz", "nr", "poz", "pkt", "r", "rozdz", "rys", "s", "str", "t", "tab", "ust",
    ],
    words: "aiouwz",
    ordinals: true,
    small_letters: true,
};

/// Czech, Slovak, Slovene, Croatian and Bosnian.
const CZECH: Rules = Rules {
    abbreviations: &[
        "Dr", "Ing", "JUDr", "MUDr", "Mgr", "PhDr", "Prof", "RNDr", "Sv", "akad", "angl", "apod", "arch",
        "bl", "cca", "dipl", "doc", "dr", "fr", "franc", "gen", "hl", "ing", "kap", "kpt", "lat", "mgr",
        "mjr", "mr", "napr", "nem", "npor", "např", "něm", "pl", "plk", "por", "pozn", "prof", "prim", "red",
        "resp", "ruš", "řec", "srov", "st", "sv", "tel", "tj", "tzn", "tzv", "ul", "vs", "zv",
    ],
    numbered: &[
        "br", "čís", "čl", "fig", "kap", "kat", "nr", "obr", "odst", "resp", "roč", "str", "sv", "tab", "čj",
    ],
    words: "aiouvksz",
    ordinals: true,
    small_letters: true,
};

/// Languages that write ordinal numbers with a full stop and have no table of their own.
const ORDINALS: Rules = Rules {
    abbreviations: &[
        "Dr", "Ifj", "Id", "Prof", "Sv", "St", "av", "ca", "dr", "lat", "piem", "pvz", "prof", "st", "sv",
    ],
    numbered: &["Nr", "No", "nr", "no", "p", "pp", "sz", "vol"],
    words: "",
    ordinals: true,
    small_letters: true,
};

/// Russian, Ukrainian, Belarusian, Bulgarian, Serbian and Macedonian.
const RUSSIAN: Rules = Rules {
    abbreviations: &[
        "Акад",
        "Ген",
        "Гл",
        "Гр",
        "Доц",
        "Др",
        "Им",
        "Инж",
        "Кн",
        "Св",
        "См",
        "Ст",
        "Проф",
        "Ред",
        "Ср",
        "Тел",
        "Ул",
        "абл",
        "акад",
        "англ",
        "арх",
        "бул",
        "букв",
        "ген",
        "гл",
        "гос",
        "гр",
        "греч",
        "губ",
        "дер",
        "доц",
        "др.-рус",
        "жит",
        "зав",
        "зам",
        "изд",
        "им",
        "ин",
        "инж",
        "исп",
        "ит",
        "итал",
        "кв",
        "кн",
        "кор",
        "корп",
        "лат",
        "лейт",
        "м.б",
        "напр",
        "нар",
        "нач",
        "нем",
        "о-в",
        "обл",
        "оз",
        "ок",
        "орг",
        "отв",
        "пгт",
        "пер",
        "пл",
        "польск",
        "пом",
        "пос",
        "пр",
        "прим",
        "приб",
        "проф",
        "просп",
        "ред",
        "рус",
        "св",
        "сев",
        "сел",
        "см",
        "соч",
        "ср",
        "ст",
        "тел",
        "тов",
        "тур",
        "ул",
        "укр",
        "фр",
        "франц",
        "хр",
        "чл",
        "экз",
        "яп",
        "вул",
        "буд",
        "нім",
        "ім",
    ],
    numbered: &[
        "Рис", "Табл", "Том", "вып", "гл", "кн", "п", "пп", "рис", "с", "сс", "ст", "стр", "т", "табл", "тт",
        "ч", "№",
    ],
    words: "Яяії",
    ordinals: false,
    small_letters: true,
};

/// Any other language.
const OTHER: Rules = Rules {
    abbreviations: &["Dr", "Mr", "Mrs", "Ms", "Prof", "St", "cf", "e.g", "i.e", "vs"],
    numbered: &["No", "Nr", "Vol", "fig", "no", "nr", "p", "pp", "vol"],
    words: "I",
    ordinals: false,
    small_letters: false,
};
