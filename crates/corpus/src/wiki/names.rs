//! Names that a dump does not tell: namespaces, languages, wikis and closing sections of the larger languages.
//! Only tables, each a string with `|` between its entries; knows nothing of how they are used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

type Table = LazyLock<BTreeSet<&'static str>>;

fn table(entries: &'static str) -> BTreeSet<&'static str> {
    entries.split('|').collect()
}

/// Prefixes of pictures and sounds, in lower case.
pub(super) static FILES: Table = LazyLock::new(|| {
    table(
        "\
    file|image|media|datei|bild|fichier|média|fichero|imagen|archivo|immagine|bestand|afbeelding|plik|\
    grafika|ficheiro|imagem|multimédia|файл|изображение|медиа|ファイル|画像|メディア|文件|图像|图片|檔案|圖像|媒体|媒體|파일|그림|\
    미디어|attēls|fails|medeja|mediafil|kuva|tiedosto|soubor|kép|fájl|dosya|resim|ortam|hình|tập tin|\
    phương tiện|berkas|gambar|ملف|صورة|وسائط|پرونده|تصویر|קובץ|תמונה|зображення|fișier|datoteka|слика|\
    датотека|медија|súbor|obrázok|slika|vaizdas|pilt|fitxer|imatge|fitxategi|irudi|dosiero|skrá|mynd|\
    εικόνα|αρχείο|картинка|выява|चित्र|ছবি|ไฟล์|ภาพ|պատկեր|ფაილი|сурет|imej|larawan",
    )
});

/// Prefixes of categories, in lower case.
pub(super) static CATEGORIES: Table = LazyLock::new(|| {
    table(
        "\
    category|kategorie|catégorie|categoría|categoria|categorie|kategoria|категория|カテゴリ|分类|分類|분류|\
    kategorija|kategoreja|kategori|luokka|kategória|thể loại|تصنيف|رده|קטגוריה|категорія|категорија|\
    kategorio|flokkur|κατηγορία|катэгорыя|श्रेणी|বিষয়শ্রেণী|वर्ग|หมวดหมู่|կատեգորիա|კატეგორია|санат|\
    kategooria|kategoriya|kaarangay",
    )
});

/// The codes of Wikipedia's languages: a link to one of them stands in the margin.
pub(super) static LANGUAGES: Table = LazyLock::new(|| {
    table(
        "\
    aa|ab|ace|ady|af|ak|als|alt|am|ami|an|ang|ann|anp|ar|arc|ary|arz|as|ast|atj|av|avk|awa|ay|az|azb|\
    ba|ban|bar|bat-smg|bbc|bcl|bdr|be|be-tarask|be-x-old|bew|bg|bh|bi|bjn|blk|bm|bn|bo|bpy|br|bs|btm|\
    bug|bxr|ca|cbk-zam|cdo|ce|ceb|ch|cho|chr|chy|ckb|co|cr|crh|cs|csb|cu|cv|cy|da|dag|de|dga|din|diq|\
    dsb|dtp|dty|dv|dz|ee|el|eml|en|eo|es|et|eu|ext|fa|fat|ff|fi|fiu-vro|fj|fo|fon|fr|frp|frr|fur|fy|\
    ga|gag|gan|gcr|gd|gl|glk|gn|gom|gor|got|gpe|gsw|gu|guc|gur|guw|gv|ha|hak|haw|he|hi|hif|ho|hr|hsb|\
    ht|hu|hy|hyw|hz|ia|iba|id|ie|ig|igl|ii|ik|ilo|inh|io|is|it|iu|ja|jam|jbo|jv|ka|kaa|kab|kbd|kbp|\
    kcg|kg|kge|ki|kj|kk|kl|km|kn|knc|ko|koi|kr|krc|ks|ksh|ku|kus|kv|kw|ky|la|lad|lb|lbe|lez|lfn|lg|li|\
    lij|lld|lmo|ln|lo|lrc|lt|ltg|lv|lzh|mad|mai|map-bms|mdf|mg|mh|mhr|mi|min|mk|ml|mn|mni|mnw|mos|mr|\
    mrj|ms|mt|mus|mwl|my|myv|mzn|na|nah|nan|nap|nds|nds-nl|ne|new|ng|nia|nl|nn|no|nov|nqo|nr|nrm|nso|\
    nup|nv|ny|oc|olo|om|or|os|pa|pag|pam|pap|pcd|pcm|pdc|pfl|pi|pih|pl|pms|pnb|pnt|ps|pt|pwn|qu|rm|\
    rmy|rn|ro|roa-rup|roa-tara|rsk|ru|rue|rup|rw|sa|sah|sat|sc|scn|sco|sd|se|sg|sgs|sh|shi|shn|shy|si|\
    simple|sk|skr|sl|sm|smn|sn|so|sq|sr|srn|ss|st|stq|su|sv|sw|syl|szl|szy|ta|tay|tcy|tdd|te|tet|tg|\
    th|ti|tig|tk|tl|tly|tn|to|tpi|tr|trv|ts|tt|tum|tw|ty|tyv|udm|ug|uk|ur|uz|ve|vec|vep|vi|vls|vo|vro|\
    wa|war|wo|wuu|xal|xh|xmf|yi|yo|yue|za|zea|zgh|zh|zh-classical|zh-min-nan|zh-yue|zu",
    )
});

/// Prefixes of other wikis, which readers need not see.
pub(super) static INTERWIKI: Table = LazyLock::new(|| {
    table(
        "\
    w|wikipedia|wikt|wiktionary|s|wikisource|b|wikibooks|q|wikiquote|n|wikinews|v|wikiversity|voy|\
    wikivoyage|species|wikispecies|d|wikidata|c|commons|m|meta|mw|mediawikiwiki|foundation|wmf|phab|\
    bugzilla|mail|translatewiki|betawiki|incubator|outreach|tools|toollabs|toolforge|doi|hdl|pmid|\
    pubmed|arxiv|rfc|imdbtitle|imdbname|google|wikitech|scholar",
    )
});

/// Titles of sections that hold no prose, in lower case, as the larger languages use them.
pub(super) static CLOSING: Table = LazyLock::new(|| {
    table(
        "\
    references|reference|notes|footnotes|notes and references|references and notes|\
    references and footnotes|footnotes and references|citations|notes and citations|\
    citations and notes|sources|works cited|sources and references|references and sources|\
    general references|cited sources|explanatory notes|external links|external link|\
    external references|links|web links|see also|related articles|related pages|other pages|\
    other websites|further reading|further information|more reading|bibliography|\
    selected bibliography|literature cited|references and further reading|\
    external links and references|references and external links|see also and references|\
    notes and sources|external sources|related links|endnotes|gallery|image gallery|photo gallery|\
    einzelnachweise|nachweise|anmerkungen|anmerkungen und einzelnachweise|\
    einzelnachweise und anmerkungen|belege|fußnoten|quellen|quellen und literatur|\
    literatur und quellen|literatur und einzelnachweise|literatur|literatur und weblinks|weblinks|\
    weblink|externe links|siehe auch|weiterführende literatur|bibliografie|bibliographie|\
    literaturhinweise|weblinks und quellen|einzelbelege|galerie|bildergalerie|références|référence|\
    notes et références|références et notes|notes, sources et références|notes, références|\
    note et référence|sources et références|bibliographie sélective|liens externes|lien externe|\
    voir aussi|articles connexes|article connexe|lectures complémentaires|annexes|pour approfondir|\
    liens internes|galerie d'images|iconographie|webographie|filmographie et bibliographie|\
    referencias|notas|notas y referencias|referencias y notas|fuentes|bibliografía|\
    bibliografía adicional|enlaces externos|enlace externo|véase también|vea también|ver también|\
    lecturas adicionales|lectura adicional|lecturas recomendadas|notas al pie|galería|\
    galería de imágenes|note|riferimenti|fonti|bibliografia|collegamenti esterni|voci correlate|\
    altri progetti|approfondimenti|annotazioni|note e riferimenti|galleria d'immagini|referenties|\
    noten|voetnoten|bronnen|bronvermelding|bronnen, noten en/of referenties|bronnen en referenties|\
    literatuur|externe link|externe koppelingen|zie ook|verder lezen|noten en referenties|galerij|\
    przypisy|uwagi|źródła|literatura|linki zewnętrzne|zobacz też|zobacz również|literatura dodatkowa|\
    literatura uzupełniająca|galeria|referências|notas e referências|referências e notas|fontes|\
    bibliografia complementar|ligações externas|ligação externa|links externos|ver também|veja também|\
    leitura adicional|leituras adicionais|leitura complementar|notas de rodapé|galeria de imagens|\
    примечания|примечание|сноски|комментарии|источники|литература|ссылки|внешние ссылки|см. также|\
    смотри также|см также|библиография|дополнительная литература|источники и литература|\
    примечания и ссылки|галерея|примітки|виноски|джерела|література|посилання|зовнішні посилання|\
    див. також|дивіться також|бібліографія|脚注|注釈|出典|参考文献|外部リンク|関連項目|関連文献|参照|註|注|脚注・出典|註釈|注釈・出典|脚註|\
    関連書籍|参考資料|関連リンク|ギャラリー|引用文献|参考资料|參考資料|參考文獻|注释|註釋|注釋|腳註|腳注|外部链接|外部連結|外部鏈接|外部连接|参见|參見|参看|參看|延伸阅读|\
    延伸閱讀|扩展阅读|擴展閱讀|相关条目|相關條目|参考|參考|备注|備註|資料來源|资料来源|来源|來源|图片|圖片|画廊|畫廊|图集|圖集|각주|주석|참고 문헌|참고문헌|참고 자료|\
    참고자료|외부 링크|외부링크|바깥 고리|같이 보기|함께 보기|더 읽기|출처|주해|내용주|참조주|관련 항목|갤러리|사진|atsauces|piezīmes|\
    atsauces un piezīmes|piezīmes un atsauces|avoti|literatūra|ārējās saites|skatīt arī|\
    papildu literatūra|bibliogrāfija|galerija|atsaucis|nūruodis|nūruode|pīzeimis|olūti|olūts|saitys|\
    uorejuos saitis|uorejis nūruodis|vērtīs taipoš|verīs taipoš|verīs taipat|verīs ari|vērīs taipoš|\
    vēreitīs taipoš|teikla saitys|ōrejuos saitys|ōrejōs saitys|ārejuos nūruodis|referenser|noter|\
    källor|källhänvisningar|fotnoter|litteratur|externa länkar|se även|vidare läsning|\
    noter och referenser|anmärkningar|poznámky|externí odkazy|související články|jegyzetek|források|\
    további információk|lásd még|viitteet|lähteet|aiheesta muualla|katso myös|kirjallisuutta|kaynakça|\
    dış bağlantılar|ayrıca bakınız|tham khảo|liên kết ngoài|xem thêm|chú thích|đọc thêm|referensi|\
    pranala luar|lihat pula|catatan kaki|المراجع|مراجع|وصلات خارجية|انظر أيضا|انظر أيضًا|منابع|پانویس|\
    پیوند به بیرون|جستارهای وابسته|הערות שוליים|קישורים חיצוניים|ראו גם|לקריאה נוספת|\
    note bibliografice|legături externe|vezi și|извори|спољашње везе|референце|см. також|\
    vanjske poveznice|vanjske veze|izvori|povezano|viri|zunanje povezave|glej tudi|referències|\
    enllaços externs|vegeu també|noter og referencer|kilder|eksterne henvisninger|se også|referanser|\
    eksterne lenker|fodnoter|henvisninger|išnašos|šaltiniai|nuorodos|viited|välislingid|vaata ka|\
    παραπομπές|πηγές|εξωτερικοί σύνδεσμοι|δείτε επίσης",
    )
});

/// English names of languages, each after its code.
pub(super) static LANGUAGE_NAMES: LazyLock<BTreeMap<&str, &str>> = LazyLock::new(|| {
    let entries = table(
        "\
    LL.=Late Latin|ML.=Medieval Latin|NL.=New Latin|VL.=Vulgar Latin|af=Afrikaans|akk=Akkadian|\
    ang=Old English|ar=Arabic|arc=Aramaic|az=Azerbaijani|be=Belarusian|bg=Bulgarian|bn=Bengali|\
    ca=Catalan|cs=Czech|cy=Welsh|da=Danish|de=German|dum=Middle Dutch|el=Greek|en=English|\
    enm=Middle English|eo=Esperanto|es=Spanish|et=Estonian|eu=Basque|fa=Persian|fi=Finnish|fo=Faroese|\
    fr=French|frm=Middle French|fro=Old French|fy=West Frisian|ga=Irish|gd=Scottish Gaelic|\
    gem-pro=Proto-Germanic|gl=Galician|gmh=Middle High German|gml=Middle Low German|\
    gmw-pro=Proto-West Germanic|goh=Old High German|got=Gothic|grc=Ancient Greek|he=Hebrew|hi=Hindi|\
    hr=Croatian|hu=Hungarian|hy=Armenian|id=Indonesian|ine-pro=Proto-Indo-European|is=Icelandic|\
    it=Italian|itc-pro=Proto-Italic|ja=Japanese|ka=Georgian|kk=Kazakh|ko=Korean|ku=Kurdish|la=Latin|\
    lb=Luxembourgish|lt=Lithuanian|lv=Latvian|mk=Macedonian|mn=Mongolian|mr=Marathi|ms=Malay|\
    mt=Maltese|nb=Norwegian Bokmål|nds=Low German|nds-de=Low German|nl=Dutch|nn=Norwegian Nynorsk|\
    no=Norwegian|non=Old Norse|oc=Occitan|odt=Old Dutch|osx=Old Saxon|pa=Punjabi|peo=Old Persian|\
    pl=Polish|pt=Portuguese|ro=Romanian|ru=Russian|sa=Sanskrit|sco=Scots|sga=Old Irish|sk=Slovak|\
    sl=Slovene|sla-pro=Proto-Slavic|sq=Albanian|sr=Serbian|sv=Swedish|sw=Swahili|ta=Tamil|te=Telugu|\
    th=Thai|tr=Turkish|uk=Ukrainian|ur=Urdu|uz=Uzbek|vi=Vietnamese|xno=Anglo-Norman|yi=Yiddish|\
    zh=Chinese",
    );
    entries.into_iter().filter_map(|entry| entry.split_once('=')).collect()
});
