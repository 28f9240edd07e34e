"use strict";
(() => {
  const WORDS = {
    en: {
      title: "What does this video show?", drop: "Drop a video here, or choose one:",
      dropRecord: "Drop a record of features here, or choose one:", windows: "Timeline, in windows of", none: "none",
      looking: "looking at {name} …", timing: "making the timeline of {name} …",
      done: "{name}: {seconds} s", large: "{name} has {size} MB; at most {most} MB are taken",
      lost: "the server does not answer", frame: "frame {number} of {name} as the network sees it",
      seen: "What the network saw", time: "Best class over time", higher: "The higher, the more probable.",
      of: "{part} of {all}", others: "{count} others", classNumber: "class {id}", more: "and {count} more videos",
    },
    zh: {
      title: "这段视频是什么内容？", drop: "把视频拖到这里，或选择文件：", dropRecord: "把特征文件拖到这里，或选择文件：",
      windows: "时间线，每个窗口", none: "不需要", looking: "正在分析 {name} …",
      timing: "正在生成 {name} 的时间线 …", done: "{name}：用时 {seconds} 秒", large: "{name} 有 {size} MB，最多接受 {most} MB",
      lost: "服务器没有响应", frame: "{name} 的第 {number} 帧，即网络所见", seen: "网络所见的画面", time: "各时段的最佳类别",
      higher: "越高表示概率越大。", of: "{part} / {all}", others: "其余 {count} 个", classNumber: "类别 {id}", more: "另有 {count} 个视频",
    },
  };
  const language = (navigator.language || "en").toLowerCase().startsWith("zh") ? "zh" : "en";
  const facts = document.body.dataset, isClips = facts.kind === "clips";
  const TOP = 5, LANES = 8, MOST_VIDEOS = 100;
  let asked = 0, sending = null;

  function say(key, values = {}) {
    return WORDS[language][key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  }

  // An element; its children are texts, which stay texts, or elements.
  function make(tag, attributes, ...children) {
    const inSvg = ["svg", "path"].includes(tag);
    const element = inSvg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function nameOf(one) {
    return one.name || say("classNumber", { id: one.class_id });
  }

  function drawRanking(classes) {
    return make("ol", { class: "ranking" }, ...classes.map((one) => make("li",
      { class: `b b${Math.round(100 * one.probability)}` },
      make("span", { dir: "auto" }, nameOf(one)),
      make("span", { class: "n" }, `${(100 * one.probability).toFixed(1)} %`))));
  }

  function drawFrames(frames, name) {
    return make("div", { class: "pictures" }, ...frames.map((uri, i) =>
      make("figure", {}, make("img", { src: uri, alt: say("frame", { number: i + 1, name }) }))));
  }

  function writeTime(seconds) {
    const whole = Math.floor(seconds / 60), rest = (seconds - 60 * whole).toFixed(seconds < 60 ? 1 : 0);
    return `${whole}:${seconds - 60 * whole < 9.95 ? "0" : ""}${rest}`;
  }

  // A lane for each class that is the best of a window, that of the longest time first.
  function drawTimeline(windows) {
    const end = windows[windows.length - 1].end_sec, lanes = new Map();
    windows.forEach((one, i) => {
      const next = i + 1 < windows.length ? Math.min(windows[i + 1].start_sec, one.end_sec) : end;
      const best = one.classes[0], name = nameOf(best);
      const lane = lanes.get(name) || { name, seconds: 0, path: "" };
      const left = 1000 * one.start_sec / end, right = Math.max(1000 * next / end, left + 1);
      const top = 20 - Math.max(20 * best.probability, 3);
      lane.seconds += next - one.start_sec;
      lane.path += `M${left.toFixed(1)} 20V${top.toFixed(1)}H${right.toFixed(1)}V20Z`;
      lanes.set(name, lane);
    });
    const sorted = [...lanes.values()].sort((a, b) => b.seconds - a.seconds);
    const shown = sorted.slice(0, sorted.length <= LANES + 1 ? LANES + 1 : LANES), rest = sorted.slice(shown.length);
    if (rest.length) {
      shown.push({
        name: say("others", { count: rest.length }), path: rest.map((lane) => lane.path).join(""),
        seconds: rest.reduce((sum, lane) => sum + lane.seconds, 0),
      });
    }
    const figure = make("figure", { class: "timeline", role: "group", "aria-label": say("time") },
      make("figcaption", {}, say("time")),
      make("ul", { class: "lanes" }, ...shown.map((lane, i) => make("li", { class: `line s${i}` },
        make("span", { dir: "auto" }, lane.name), " ",
        make("span", { class: "note" }, say("of", { part: writeTime(lane.seconds), all: writeTime(end) })),
        make("svg", { viewBox: "0 0 1000 20", preserveAspectRatio: "none", "aria-hidden": "true" },
          make("path", { class: "ground", d: "M0 20H1000M250 0V20M500 0V20M750 0V20" }),
          make("path", { class: "stretch", d: lane.path }))))),
      make("div", { class: "clock", "aria-hidden": "true" },
        ...[0, 1, 2, 3].map((part) => make("span", {}, writeTime(end * part / 4))),
        make("span", { class: "end" }, writeTime(end))),
      make("p", { class: "note" }, say("higher")));
    const pictures = windows.filter((one) => one.frame);
    return [figure, make("div", { class: "pictures" }, ...pictures.map((one) => make("figure", {},
      make("img", { src: one.frame, alt: `${writeTime(one.start_sec)}, ${nameOf(one.classes[0])}` }),
      make("figcaption", {}, `${writeTime(one.start_sec)} `, make("span", { dir: "auto" }, nameOf(one.classes[0]))))))];
  }

  function send(file, query) {
    const form = new FormData();
    form.append("file", file, file.name);
    return new Promise((resolve, reject) => {
      const request = new XMLHttpRequest();
      sending = request;
      request.open("POST", `/classify?${new URLSearchParams(query)}`);
      request.responseType = "json";
      request.onload = () => {
        const answer = request.response || { error: say("lost") };
        if (request.status === 200) resolve(answer);
        else reject(new Error(answer.error));
      };
      request.onerror = () => reject(new Error(say("lost")));
      request.send(form);
    });
  }

  function tell(text, isBad = false) {
    const status = document.getElementById("status");
    status.textContent = text;
    status.classList.toggle("bad", isBad);
  }

  async function show(file) {
    const mine = ++asked, name = file.name, answers = document.getElementById("answers");
    if (sending) sending.abort();
    answers.replaceChildren();
    if (file.size > Number(facts.mostBytes)) {
      const mega = (size) => (size / 1e6).toFixed(0);
      tell(say("large", { name, size: mega(file.size), most: mega(facts.mostBytes) }), true);
      return;
    }
    try {
      tell(say("looking", { name }));
      const found = await send(file, isClips ? { topk: TOP, frames: 1 } : { topk: TOP });
      if (mine !== asked) return;
      tell(say("done", { name, seconds: found.seconds.toFixed(2) }));
      const videos = found.videos || [found];
      for (const video of videos.slice(0, MOST_VIDEOS)) {
        answers.append(make("section", { class: "card" },
          make("h2", { dir: "auto" }, video.id || name), drawRanking(video.classes)));
      }
      if (videos.length > MOST_VIDEOS) answers.append(make("p", {}, say("more", { count: videos.length - MOST_VIDEOS })));
      if (!isClips) return;
      answers.lastChild.append(make("h3", {}, say("seen")), drawFrames(found.frames, name));
      const seconds = document.getElementById("window").value;
      if (!seconds) return;
      tell(say("timing", { name }));
      const timed = await send(file, { topk: 1, window_sec: seconds, frames: 1 });
      if (mine !== asked) return;
      answers.append(make("section", { class: "card" }, ...drawTimeline(timed.windows)));
      tell(say("done", { name, seconds: (found.seconds + timed.seconds).toFixed(2) }));
    } catch (error) {
      if (mine === asked) tell(error.message, true);
    }
  }

  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) {
    const key = element.dataset.text;
    element.textContent = say(key === "drop" && !isClips ? "dropRecord" : key);
  }
  document.title = `${say("title")} ${facts.model}`;
  document.getElementById("options").hidden = !isClips;
  const drop = document.getElementById("drop"), input = document.getElementById("file");
  input.addEventListener("change", () => input.files.length && show(input.files[0]));
  for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => drop.classList.add("over"));
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    drop.classList.remove("over");
    if (event.dataTransfer.files.length) show(event.dataTransfer.files[0]);
  });
  document.getElementById("window").addEventListener("change", () => input.files.length && show(input.files[0]));
})();
