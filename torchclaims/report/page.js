// Filters rows in every section, and sorts the table; the page is whole without.
(() => {
  const form = document.querySelector("nav form");
  const table = document.querySelector("#rows table");
  const rows = [...table.tBodies[0].rows];
  const facts = new Map(rows.map((row) => [row.dataset.row, row.dataset]));
  const marks = [...document.querySelectorAll("use[data-row]")];
  const bars = [...document.querySelectorAll(".panel tr[data-row]")];
  const count = form.querySelector("output");

  const matches = (fact) =>
    form.words.value.toLowerCase().split(/\s+/).every((word) => fact.text.toLowerCase().includes(word)) &&
    ["work", "precision"].every((key) => !form[key].value || form[key].value === fact[key]) &&
    (!form.noisy.checked || fact.noisy === "1");

  const filter = () => {
    const kept = new Set([...facts].filter(([, fact]) => matches(fact)).map(([row]) => row));
    for (const row of rows) row.hidden = !kept.has(row.dataset.row);
    for (const bar of bars) bar.hidden = !kept.has(bar.dataset.row);
    for (const mark of marks) mark.classList.toggle("out", !kept.has(mark.dataset.row));
    for (const part of document.querySelectorAll(".panel, article"))
      part.hidden = !part.querySelector("tr[data-row]:not([hidden])");
    count.textContent = `${kept.size} of ${rows.length} rows`;
  };

  for (const [column, head] of [...table.tHead.rows[0].cells].entries()) {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
      const numeric = table.tBodies[0].rows[0].cells[column].dataset.value !== undefined;
      const order = (a, b) => numeric ? value(a) - value(b) : value(a).localeCompare(value(b));
      rows.sort((a, b) => (down ? order(b, a) : order(a, b)));
      table.tBodies[0].append(...rows);
    });
  }
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  filter();
})();
