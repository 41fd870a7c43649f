//! Words of synthetic datasets: some that datasets are about, and a long tail, by Zipf's law.

use std::fmt::Write as _;

/// What many datasets are about, the most frequent first.
const ENGLISH: &[&str] = &[
    "data",
    "of",
    "the",
    "and",
    "for",
    "images",
    "with",
    "text",
    "from",
    "language",
    "speech",
    "translation",
    "labels",
    "training",
    "corpus",
    "questions",
    "answers",
    "english",
    "sentences",
    "benchmark",
    "documents",
    "news",
    "medical",
    "detection",
    "video",
    "audio",
    "classification",
    "annotated",
    "recognition",
    "web",
    "code",
    "dialogue",
    "summaries",
    "reviews",
    "segmentation",
    "satellite",
    "faces",
    "traffic",
    "weather",
    "climate",
    "genome",
    "protein",
    "chemistry",
    "maps",
    "books",
    "wikipedia",
    "instructions",
    "reasoning",
    "mathematics",
    "scientific",
    "papers",
    "patents",
    "legal",
    "financial",
    "social",
    "messages",
    "emotion",
    "music",
    "birds",
    "plants",
    "insects",
    "microscopy",
    "radiology",
    "ultrasound",
    "clinical",
    "records",
    "sensors",
    "robots",
    "driving",
    "pedestrians",
    "lidar",
    "depth",
    "poses",
    "gestures",
    "handwriting",
    "letters",
    "digits",
    "tables",
    "charts",
    "games",
    "chess",
    "recipes",
    "fashion",
    "products",
    "prices",
    "elections",
    "census",
];

/// The same for Chinese.
const CHINESE: &[&str] = &[
    "数据", "中文", "文本", "新闻", "图像", "翻译", "语音", "识别", "标注", "语料", "问答", "机器",
    "学习", "模型", "医学", "影像", "分类", "检测", "对话", "情感", "分析", "法律", "金融", "历史",
    "古籍", "地图", "交通", "天气", "视频", "音乐", "小说", "百科", "数学", "推理", "代码", "人脸",
    "手写", "表格", "论文", "专利",
];

/// Words of the tail.
const TAIL: u64 = 30_000;

/// Random numbers of a seed: splitmix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, all alike.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// One of these, all alike.
    pub(super) fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        let count = u64::try_from(from.len()).unwrap_or(1);
        let at = usize::try_from(self.below(count)).unwrap_or(0);
        from.get(at).copied().unwrap_or_default()
    }

    /// A rank below `end`, small ones more often: about as 1 / rank.
    fn rank(&mut self, end: u64) -> u64 {
        let bits = u64::from(end.ilog2()) + 1;
        let octave = self.below(bits);
        ((1 << octave) - 1 + self.below(1 << octave)).min(end - 1)
    }

    /// An English word.
    pub(super) fn english(&mut self) -> String {
        let known = u64::try_from(ENGLISH.len()).unwrap_or(1);
        let rank = self.rank(known + TAIL);
        let known = usize::try_from(rank).ok().and_then(|at| ENGLISH.get(at));
        known.map_or_else(|| rare(rank), |word| (*word).to_owned())
    }

    /// A Chinese word.
    pub(super) fn chinese(&mut self) -> &'static str {
        let rank = self.rank(u64::try_from(CHINESE.len()).unwrap_or(1));
        let at = usize::try_from(rank).unwrap_or(0);
        CHINESE.get(at).copied().unwrap_or_default()
    }

    /// So many words.
    pub(super) fn words(&mut self, count: u64) -> String {
        let words: Vec<String> = (0..count).map(|_| self.english()).collect();
        words.join(" ")
    }

    /// So many Chinese words, without spaces.
    pub(super) fn sentence(&mut self, count: u64) -> String {
        (0..count).map(|_| self.chinese()).collect()
    }
}

/// A word of the tail: syllables by its number.
fn rare(number: u64) -> String {
    const BEGINS: [&str; 8] = ["b", "d", "k", "l", "m", "n", "r", "t"];
    const ENDS: [&str; 8] = ["a", "en", "i", "or", "u", "al", "is", "ot"];
    let (mut word, mut left) = (String::new(), number);
    while left > 0 {
        let at = |digit: u64| usize::try_from(digit % 8).unwrap_or(0);
        let begin = BEGINS.get(at(left)).copied().unwrap_or_default();
        let end = ENDS.get(at(left / 8)).copied().unwrap_or_default();
        // Writing into a string never fails.
        let _ = write!(word, "{begin}{end}");
        left /= 64;
    }
    word
}
