// What the page says, in English and Chinese, and how it writes numbers.

const STORED = "bertune-language";

const TEXTS = {
  en: {
    skip: "Skip to content",
    model: "Model",
    input: "Input",
    predict: "Predict",
    predicting: "Predicting …",
    clear: "Clear",
    prediction: "Prediction",
    empty: "The prediction will be shown here.",
    keys: (key) => `${key} + Enter`,
    tasks: {},
    facts: {
      labels: (n) => `${n} labels`,
      length: (n) => `up to ${n} tokens`,
    },
    placeholder: "Paste or type a text",
    splitWords: "Already split into words, separated by spaces",
    fields: {
      text: "Text", question: "Question", context: "Context", query: "Query", document: "Document",
      passage: "Passage", choices: "Choices", tokens: "Text", words: "Text", sentence: "Text",
    },
    item: (name, n) => `${name} ${n}`,
    addItem: { list: "Add a choice", rows: "Add a text" },
    removeItem: (name) => `Remove ${name}`,
    insertMask: (mask) => `Insert ${mask}`,
    maskHint: (mask) => `Write ${mask} for each missing word.`,
    blank: (name) => `${name} is empty. Enter a text.`,
    tooFew: (n) => `Enter at least ${n} texts.`,
    noMask: (mask) => `The text has no ${mask}. Insert one where a word is missing.`,
    truncate: "Truncate and predict",
    retry: "Try again",
    seconds: (s) => `Answered in ${s} s`,
    milliseconds: (ms) => `Answered in ${ms} ms`,
    showAll: (n) => `Show all ${n}`,
    showTop: (n) => `Show the top ${n}`,
    threshold: (p) => `Labels with a probability of at least ${p} are predicted (the line marks this threshold).`,
    noLabels: "No label reaches the threshold",
    review: (labels, most) => {
      if (!labels.length) return "Needs review";
      const more = labels.length > most ? ` and ${labels.length - most} more` : "";
      return `Needs review: ${labels.slice(0, most).join(", ")}${more}`;
    },
    toReview: "review",
    decided: "No review needed",
    range: "The scale is the range of the training data.",
    entities: (n) => (n === 1 ? "1 entity" : `${n} entities`),
    noEntities: "No entities found",
    entity: "Entity", label: "Label", score: "Score",
    answer: "Answer",
    noAnswer: "No answer in the context",
    otherAnswers: "Candidates",
    ranking: "Most relevant first",
    best: (text) => `Best: ${text}`,
    similarity: "Similarity",
    similarityHint: "Cosine: 1 means the same meaning, 0 unrelated.",
    pair: (a, b) => `${a} and ${b}`,
    vector: (n) => `Vector with ${n} numbers. Add a second text to compare the two.`,
    mask: (n) => `Word ${n}`,
    asJson: "JSON",
    asCurl: "curl",
    copy: "Copy",
    copied: "Copied",
    explain: "Which words mattered?",
    explaining: "Computing …",
    explainTitle: "Words that mattered",
    explainTarget: "For",
    supports: "supports",
    opposes: "opposes",
    explainHint: (baseline, value) =>
      `Integrated gradients: the contributions add up to the change of the output from ${baseline} (all words masked) to ${value}.`,
    nothingMattered: "No word stands out: the output is the same if all words are masked.",
    contribution: (word, number) => `${word}: ${number}`,
    files: "Label a file",
    choose: "Choose a file, or drop it here",
    accepted: (suffixes, mb) => `${suffixes} and others, up to ${mb} MB`,
    format: "Result format",
    columns: "Text columns",
    columnsHint: "Only needed if they are not found automatically. Separate names by commas.",
    labelFile: "Label the file",
    uploading: (share) => `Uploading … ${share}`,
    noFile: "Choose a file first.",
    state: {
      waiting: "Waiting", reading: "Reading the file", running: "Predicting", writing: "Writing the result",
      done: "Done", failed: "Failed", cancelled: "Cancelled",
    },
    rows: (done, total) => (total === null ? `${done} rows` : `${done} of ${total} rows`),
    summary: (rows) => `${rows} rows labelled`,
    blankRows: (n) => `${n} without text`,
    failedRows: (n) => `${n} could not be predicted`,
    truncatedRows: (n) => `${n} truncated`,
    download: "Download",
    cancel: "Cancel",
    remove: "Remove",
    forgotten: "The result is no longer available. Label the file again.",
    tokenTitle: "This service needs a token",
    token: "Token",
    tokenHint: "It is kept until you close this tab.",
    tokenWrong: "The token is wrong.",
    continue: "Continue",
    errors: {
      unreachable: "The service cannot be reached. Check that it is running.",
      overloaded: (s) => `The service is busy. Try again in ${s} s.`,
      unavailable: "The service did not answer in time. Try again later.",
      failed: "The service failed.",
      too_long: "The text is too long for this model.",
    },
  },
  zh: {
    skip: "跳到主要内容",
    model: "模型",
    input: "输入",
    predict: "预测",
    predicting: "预测中……",
    clear: "清空",
    prediction: "预测结果",
    empty: "预测结果将显示在这里。",
    keys: (key) => `${key} + Enter`,
    tasks: {
      classification: "文本分类", multilabel: "多标签分类", regression: "回归", token_classification: "序列标注",
      question_answering: "抽取式问答", multiple_choice: "多项选择", ranking: "排序", embeddings: "文本向量",
      language_modelling: "掩码语言模型",
    },
    facts: {
      labels: (n) => `${n} 个标签`,
      length: (n) => `最长 ${n} 个词元`,
    },
    placeholder: "粘贴或输入文本",
    splitWords: "文本已分词，词与词之间用空格分隔",
    fields: {
      text: "文本", question: "问题", context: "上下文", query: "查询", document: "文档",
      passage: "段落", choices: "选项", tokens: "文本", words: "文本", sentence: "文本",
    },
    item: (name, n) => `${name} ${n}`,
    addItem: { list: "添加选项", rows: "添加文本" },
    removeItem: (name) => `删除${name}`,
    insertMask: (mask) => `插入 ${mask}`,
    maskHint: (mask) => `缺失的词用 ${mask} 表示。`,
    blank: (name) => `“${name}”为空，请输入文本。`,
    tooFew: (n) => `请至少输入 ${n} 段文本。`,
    noMask: (mask) => `文本中没有 ${mask}，请在缺词处插入。`,
    truncate: "截断后预测",
    retry: "重试",
    seconds: (s) => `用时 ${s} 秒`,
    milliseconds: (ms) => `用时 ${ms} 毫秒`,
    showAll: (n) => `显示全部 ${n} 项`,
    showTop: (n) => `只显示前 ${n} 项`,
    threshold: (p) => `概率不低于 ${p} 的标签被选中（竖线表示阈值）。`,
    review: (labels, most) => {
      if (!labels.length) return "需要人工复核";
      const more = labels.length > most ? `等 ${labels.length} 个标签` : "";
      return `需要人工复核：${labels.slice(0, most).join("、")}${more}`;
    },
    toReview: "待复核",
    decided: "无需人工复核",
    noLabels: "没有标签达到阈值",
    range: "刻度范围为训练数据的取值范围。",
    entities: (n) => `${n} 个实体`,
    noEntities: "未找到实体",
    entity: "实体", label: "标签", score: "概率",
    answer: "答案",
    noAnswer: "上下文中没有答案",
    otherAnswers: "候选答案",
    ranking: "按相关性从高到低排列",
    best: (text) => `最佳：${text}`,
    similarity: "相似度",
    similarityHint: "余弦相似度：1 表示含义相同，0 表示无关。",
    pair: (a, b) => `${a} 与 ${b}`,
    vector: (n) => `${n} 维向量。再添加一段文本即可比较。`,
    mask: (n) => `第 ${n} 个词`,
    asJson: "JSON",
    asCurl: "curl",
    copy: "复制",
    copied: "已复制",
    explain: "哪些词起了作用？",
    explaining: "计算中……",
    explainTitle: "起作用的词",
    explainTarget: "针对",
    supports: "支持",
    opposes: "反对",
    explainHint: (baseline, value) =>
      `积分梯度：各词的贡献之和等于输出从 ${baseline}（遮盖所有词）到 ${value} 的变化量。`,
    nothingMattered: "没有明显起作用的词：遮盖所有词后，输出不变。",
    contribution: (word, number) => `${word}：${number}`,
    files: "批量标注文件",
    choose: "选择文件，或将文件拖到此处",
    accepted: (suffixes, mb) => `${suffixes} 等格式，不超过 ${mb} MB`,
    format: "结果格式",
    columns: "文本列",
    columnsHint: "仅在未能自动识别时填写；多个列名用逗号分隔。",
    labelFile: "开始标注",
    uploading: (share) => `上传中…… ${share}`,
    noFile: "请先选择文件。",
    state: {
      waiting: "等待中", reading: "读取文件", running: "预测中", writing: "写入结果",
      done: "完成", failed: "失败", cancelled: "已取消",
    },
    rows: (done, total) => (total === null ? `${done} 行` : `${done} / ${total} 行`),
    summary: (rows) => `已标注 ${rows} 行`,
    blankRows: (n) => `${n} 行无文本`,
    failedRows: (n) => `${n} 行无法预测`,
    truncatedRows: (n) => `${n} 行被截断`,
    download: "下载",
    cancel: "取消",
    remove: "移除",
    forgotten: "结果已失效，请重新标注该文件。",
    tokenTitle: "此服务需要访问令牌",
    token: "访问令牌",
    tokenHint: "令牌仅在此标签页打开期间保留。",
    tokenWrong: "访问令牌不正确。",
    continue: "继续",
    errors: {
      unreachable: "无法连接服务，请确认服务正在运行。",
      overloaded: (s) => `服务繁忙，请在 ${s} 秒后重试。`,
      unavailable: "服务未能及时响应，请稍后重试。",
      failed: "服务出错。",
      too_long: "文本超出模型的最大长度。",
    },
  },
};

let language = chosen();

function chosen() {
  const stored = localStorage.getItem(STORED);
  if (stored in TEXTS) return stored;
  const known = navigator.languages.map((name) => name.slice(0, 2).toLowerCase()).find((name) => name in TEXTS);
  return known || "en";
}

/** The language of the page: "en" or "zh". */
export const currentLanguage = () => language;

/** Switch the language and remember it. */
export function setLanguage(name) {
  language = name;
  localStorage.setItem(STORED, name);
}

/** The texts of the current language. */
export const texts = () => TEXTS[language];

/** Write all static texts of the document in the current language. */
export function translate() {
  document.documentElement.lang = language === "zh" ? "zh-Hans" : "en";
  for (const place of document.querySelectorAll("[data-text]")) place.textContent = texts()[place.dataset.text];
  for (const button of document.querySelectorAll("[data-language]"))
    button.setAttribute("aria-pressed", String(button.dataset.language === language));
}

const locale = () => (language === "zh" ? "zh-CN" : "en");

/** A number with a fixed number of decimals. */
export const decimal = (value, digits = 2) =>
  value.toLocaleString(locale(), { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** A count with separators. */
export const count = (value) => value.toLocaleString(locale());

/** A probability in percent; those that would be shown as 0 or 100 but are not are marked. */
export function percent(value) {
  if (value > 0 && value < 0.0005) return `< ${decimal(0.1, 1)}%`;
  if (value < 1 && value > 0.9995) return `> ${decimal(99.9, 1)}%`;
  return `${decimal(100 * value, 1)}%`;
}

/** A number with as many decimals as its size needs: 1,234.5, 0.12, 0.0034. */
export function readable(value) {
  const size = Math.abs(value);
  if (size < 1e-6) return decimal(0);
  const text =
    size < 0.1
      ? value.toLocaleString(locale(), { maximumSignificantDigits: 2 })
      : decimal(value, size >= 100 ? 1 : 2);
  return text.replace("-", "−");
}
