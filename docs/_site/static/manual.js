// Code, tables and formulas that are wider than the page scroll; whoever uses a keyboard has to reach them.
const wide = document.querySelectorAll("pre, .table-wrapper, .formula")

function makeReachable() {
  for (const part of wide) {
    if (part.scrollWidth > part.clientWidth) part.tabIndex = 0
    else part.removeAttribute("tabindex")
  }
}

makeReachable()
addEventListener("resize", makeReachable)
