"""The page's style sheet: light and dark, wide and narrow, screen and paper."""

STYLE = """
:root { --ink: #1c2430; --faint: #66717f; --paper: #ffffff; --card: #f6f7f9; --rule: #dfe3e8;
  --accent: #0062a3; --bad: #b3261e; --good: #00724f; --margin: #eceef1; --quiet: #c9ced6; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebef; --faint: #a3adb9; --paper: #14181d; --card: #1c2229; --rule: #333c46;
    --accent: #7cc4ff; --bad: #ff9d94; --good: #62d2a8; --margin: #2b333c; --quiet: #3f4954; } }
* { box-sizing: border-box; }
html { color-scheme: light dark; }
body { margin: 0 auto; max-width: 74rem; padding: 2rem 1.25rem 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.55 "DejaVu Sans", system-ui, "Segoe UI", Helvetica, sans-serif; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 0 0 .25rem; }
h4 { font-size: .85rem; margin: 0 0 .35rem; font-weight: 600; }
p { margin: .35rem 0; max-width: 46rem; }
a { color: var(--accent); }
.faint { color: var(--faint); font-size: .875rem; }
.findings { padding-left: 1.2rem; max-width: 52rem; font-size: 1.05rem; }
.findings li { margin: .35rem 0; }
.scroll { overflow-x: auto; }
.card p, section > p.faint { max-width: none; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: .6rem;
  padding: 1rem 1.1rem; margin: 1rem 0; break-inside: avoid; }
h4.state { font-size: .95rem; margin-top: 1.4rem; }
.tables { display: flex; flex-wrap: wrap; gap: 1rem 2rem; margin-top: .75rem;
  align-items: flex-end; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; }
.list { width: 100%; }
.list > thead th, .list > tbody > tr > td { padding: .45rem .7rem .45rem 0;
  border-bottom: 1px solid var(--rule); vertical-align: top; }
.list thead th { border-bottom: 2px solid var(--ink); font-size: .8rem; }
.list .n { text-align: right; white-space: nowrap; }
.list small { display: block; color: var(--faint); font-size: .78rem; }
.game { border-collapse: separate; border-spacing: 2px; }
.game td { min-width: 3.9rem; padding: .3rem .35rem .2rem; text-align: center; line-height: 1.15;
  border-radius: 3px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.game th { padding: .15rem .4rem; text-align: center; font-size: .78rem; color: var(--faint); }
.game .q { background: var(--margin); font-size: .8rem; }
.game .none { color: var(--faint); background: repeating-linear-gradient(45deg, transparent 0 4px,
  var(--rule) 4px 6px); }
.game .plays { outline: 2.5px solid var(--ink); outline-offset: -1px; }
.game .marks { display: block; min-height: 1.05em; font-size: .9rem; letter-spacing: .1em; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.legend span { margin-right: 1.4rem; white-space: nowrap; }
.figure { overflow-x: auto; margin: 1rem 0; }
.figure svg { max-width: 100%; min-width: 34rem; height: auto; display: block; }
details { margin-top: .8rem; } summary { cursor: pointer; color: var(--accent); }
code, pre { font: .85rem/1.5 "DejaVu Sans Mono", ui-monospace, Menlo, monospace; }
pre { background: var(--card); border: 1px solid var(--rule); border-radius: .4rem;
  padding: .6rem .8rem; overflow-x: auto; }
dl { display: grid; grid-template-columns: minmax(7rem, max-content) 1fr; gap: .35rem 1.2rem;
  max-width: 56rem; }
dt { font-weight: 600; } dd { margin: 0; }
@media (max-width: 40rem) { body { padding: 1rem .8rem 3rem; font-size: 15px; }
  dl { grid-template-columns: 1fr; } dd { margin-bottom: .5rem; } .card { padding: .8rem; }
  .game td { min-width: 3.2rem; font-size: .8rem; padding: .25rem .15rem; } }
@media print { :root { --ink: #000; --faint: #444; --paper: #fff; --card: #fff; --rule: #bbb;
    --margin: #eee; --bad: #900; --good: #040; }
  body { max-width: none; padding: 0; font-size: 11px; } .figure svg { min-width: 0; }
  .scroll, .figure { overflow: visible; } tr { break-inside: avoid; } }
"""
