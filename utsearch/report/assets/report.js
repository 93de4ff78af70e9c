// Every figure of the report; a click on a point copies the text of its design, and says so.
(() => {
  const MANY = 800;
  const plots = $plots;
  const words = $words;
  const config = $config;
  const toast = document.getElementById("toast");
  let fading = 0;
  const say = (words) => {
    toast.textContent = words;
    toast.classList.add("shown");
    clearTimeout(fading);
    fading = setTimeout(() => toast.classList.remove("shown"), 2500);
  };
  const byHand = (text) => {  // where the clipboard is not given, such as in a frame
    const box = document.createElement("textarea");
    box.value = text;
    box.style.position = "fixed";
    document.body.append(box);
    box.select();
    const done = document.execCommand("copy");
    box.remove();
    return done;
  };
  const copy = async (text) => {
    try {
      await navigator.clipboard.writeText(text);
      say("copied: " + text);
    } catch {
      say((byHand(text) ? "copied: " : "could not copy; here it is: ") + text);
    }
  };
  for (const button of document.querySelectorAll("button.copy"))
    button.addEventListener("click", () => copy(button.textContent));

  // paper has a width of its own, which Plotly does not hear of; labels and panels have to fit it
  const PAPER = 680;
  let printing = false;
  const toPaper = {width: PAPER, autosize: false};
  const fits = new Map();
  // Labels are placed in pixels and panels stand in a row or on each other, so each range of widths has its own layout.
  const fitted = (plot, views) => {
    let current = -1;
    return () => {
      const width = printing ? PAPER : plot.clientWidth;
      const fitting = Math.max(0, views.findLastIndex((view) => view.min_width <= width));
      if (fitting === current) return;
      current = fitting;
      Plotly.relayout(plot, views[current].layout);
    };
  };
  // texts are kept once, since a trial stands in several figures; customdata is [number, text]
  const spoken = (index) => (Array.isArray(index) ? index.map(spoken) : words[index] ?? "");
  const named = (pair) => (Array.isArray(pair?.[0]) ? pair.map(named) : pair && [pair[0], words[pair[1]]]);
  const draw = async ({id, data, layout, views}) => {
    for (const trace of data) {
      if (trace.hovertext) trace.hovertext = spoken(trace.hovertext);
      if (trace.customdata) trace.customdata = trace.customdata.map(named);
    }
    const plot = document.getElementById(id);
    await Plotly.newPlot(plot, data, printing ? {...layout, ...toPaper} : layout, config);
    plot.on("plotly_click", ({points: [point]}) => point.customdata && copy(point.customdata[1]));
    if (!views) return;
    // Plotly draws every label anew at each step of a drag, which stutters beside very many points: they rest until its end
    const back = () => setTimeout(() => Plotly.relayout(plot, {annotations: plot.layout.annotations}), 50);
    const rest = () => {
      plot._fullLayout.annotations.forEach((each) => { each.visible = false; });
      document.addEventListener("mouseup", back, {once: true});
    };
    if (plot.querySelectorAll("path.point").length > MANY) plot.addEventListener("mousedown", rest, true);
    const fit = fitted(plot, views);
    fits.set(plot, fit);
    fit();
    new ResizeObserver(fit).observe(plot);
  };
  // the front at once, the others when the reader comes near, and all of them before printing
  const waiting = new Map(plots.map((plot) => [document.getElementById(plot.id), plot]));
  const show = (place) => {
    const plot = waiting.get(place);
    waiting.delete(place);
    return plot && draw(plot);
  };
  const near = new IntersectionObserver(
    (seen) => seen.filter((each) => each.isIntersecting).forEach((each) => show(each.target)),
    {rootMargin: "600px"},
  );
  for (const place of waiting.keys()) near.observe(place);
  const turn = (toPrint) => () => {
    printing = toPrint;
    for (const plot of document.querySelectorAll(".js-plotly-plot")) {
      Plotly.relayout(plot, toPrint ? toPaper : {width: null, autosize: true});
      fits.get(plot)?.();
    }
    if (toPrint) for (const place of [...waiting.keys()]) show(place);
  };
  addEventListener("beforeprint", turn(true));
  addEventListener("afterprint", turn(false));
})();
