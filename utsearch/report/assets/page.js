// Labels are placed in pixels, so each range of widths has its own layout; `views` goes from narrow to wide.
(() => {
  const plot = document.getElementById("front");
  const views = $views;
  const fitting = () => Math.max(0, views.findLastIndex((view) => view.min_width <= plot.clientWidth));
  let current = -1;
  const fit = () => {
    if (fitting() === current) return;
    current = fitting();
    Plotly.relayout(plot, views[current].layout);
  };
  Plotly.newPlot(plot, $data, $layout, $config).then(() => {
    fit();
    new ResizeObserver(fit).observe(plot);
  });
})();
