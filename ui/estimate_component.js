// Writes the view of ui/estimate_component.py into its slots, and touches nothing that has not changed.

const SLOT = "[data-slot]"

function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

function mark(node, name, value) {
  if (node.dataset[name] !== value) node.dataset[name] = value
}

function drawBar(bar, { pieces, net, words }) {
  const drawn = JSON.stringify([pieces, net])
  if (bar.dataset.drawn === drawn) return
  bar.dataset.drawn = drawn
  bar.setAttribute("aria-label", words)
  bar.classList.toggle("unknown", pieces.length === 0)
  bar.replaceChildren(...pieces.map(({ kind, left, width, shade, name }) => {
    const piece = document.createElement("span")
    piece.className = kind
    piece.style.left = `${left}%`
    piece.style.width = `${width}%`
    piece.style.backgroundColor = shade
    piece.textContent = name
    return piece
  }))
  if (net !== null) {
    const sum = document.createElement("b")
    sum.style.left = `calc(${net}% - 1px)`
    bar.append(sum)
  }
}

// Open an explanation below its question mark: by pointing, by a click, or by the keyboard. It stays while the
// pointer is on it, and Escape closes it.
function explain(button) {
  const words = button.nextElementSibling
  const show = () => {
    if (words.matches(":popover-open")) return
    words.showPopover()
    const box = button.getBoundingClientRect()
    words.style.left = `${Math.max(8, Math.min(box.left, window.innerWidth - words.offsetWidth - 8))}px`
    words.style.top = `${box.bottom + 6}px`
  }
  const hide = () => words.matches(":popover-open") && words.hidePopover()
  const leave = () => setTimeout(() => button.matches(":hover") || words.matches(":hover") || hide(), 150)
  button.onclick = show
  button.onfocus = () => button.matches(":focus-visible") && show()
  button.onblur = hide
  button.onkeydown = event => { if (event.key === "Escape") hide() } // returning false would block every other key
  button.onpointerenter = event => event.pointerType === "mouse" && show()
  button.onpointerleave = words.onpointerleave = leave
}

const nodesByRoot = new WeakMap()

export default function ({ parentElement, data }) {
  const root = parentElement.querySelector(".answer")
  if (!nodesByRoot.has(root)) {
    root.querySelectorAll("button.about").forEach(explain)
    nodesByRoot.set(root, {
      slots: [...root.querySelectorAll(SLOT)],
      bar: root.querySelector(".stack"),
      badge: root.querySelector(".badge"),
      probe: root.querySelector("#tick"),
      blocks: [...root.querySelectorAll("[data-when]")],
    })
  }
  const { slots, bar, badge, probe, blocks } = nodesByRoot.get(root)
  for (const slot of slots) write(slot, data.text[slot.dataset.slot] ?? "")
  for (const block of blocks) block.hidden = !data.has[block.dataset.when]
  mark(badge, "tone", data.tone)
  mark(document.documentElement, "prices", data.fresh ? "fresh" : "old")
  if (data.bar) drawBar(bar, data.bar)
  for (const name of ["quantity", "slippage", "net", "ns"]) {
    if (data.probe) mark(probe, name, data.probe[name])
    else delete probe.dataset[name]
  }
}
