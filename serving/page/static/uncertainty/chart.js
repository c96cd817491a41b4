// A prediction along one column: bands, the mean, and where the sliders stand.

const LEFT = 64
const RIGHT = 630
const TOP = 26
const BOTTOM = 310
const TICKS = 5

/** along: the answers at each x; now: the answer at the sliders, with its x; edges: of the training rows. */
export function chart(svg, { x, along, now, edges, labels }) {
  const widest = along.flatMap(({ intervals }) => [intervals.at(-1).low, intervals.at(-1).high])
  const ys = ticks(Math.min(...widest), Math.max(...widest))
  const [low, high] = [ys[0], ys.at(-1)]
  const across = (value) => LEFT + ((RIGHT - LEFT) * (value - x[0])) / (x.at(-1) - x[0] || 1)
  const up = (value) => BOTTOM - ((BOTTOM - TOP) * (value - low)) / (high - low)
  const parts = []
  for (const y of ys) {
    parts.push(make('line', { class: 'grid', x1: LEFT, x2: RIGHT, y1: up(y), y2: up(y) }))
    parts.push(make('text', { class: 'end', x: LEFT - 8, y: up(y) + 4 }, short(y)))
  }
  for (const value of ticks(x[0], x.at(-1)).filter((value) => value >= x[0] && value <= x.at(-1))) {
    parts.push(make('text', { class: 'middle', x: across(value), y: BOTTOM + 20 }, short(value)))
  }
  const line = (value) => along.map((answer, place) => `${across(x[place]).toFixed(1)},${up(value(answer)).toFixed(1)}`)
  const bounded = (value) => Math.min(high, Math.max(low, value))
  for (const [place, { coverage }] of [...along[0].intervals.entries()].reverse()) {
    const upper = line(({ intervals }) => intervals[place].high)
    const lower = line(({ intervals }) => intervals[place].low).reverse()
    parts.push(make('polygon', { class: `band${Math.round(100 * coverage)}`, points: [...upper, ...lower].join(' ') }))
    if (coverage !== 0.9) continue
    for (const end of ['conformal_low', 'conformal_high']) {
      parts.push(make('polyline', { class: 'conformal', points: line(({ intervals }) => bounded(intervals[place][end])).join(' ') }))
    }
  }
  parts.push(make('polyline', { class: 'line', points: line(({ mean }) => mean).join(' ') }))
  for (const edge of edges) parts.push(make('line', { class: 'edge', x1: across(edge), x2: across(edge), y1: TOP, y2: BOTTOM }))
  const ninety = now.intervals.find(({ coverage }) => coverage === 0.9) ?? now.intervals.at(-1)
  const at = across(now.x)
  parts.push(make('line', { class: 'whisker', x1: at, x2: at, y1: up(bounded(ninety.low)), y2: up(bounded(ninety.high)) }))
  parts.push(make('circle', { class: 'now', cx: at, cy: up(bounded(now.mean)), r: 6 }))
  parts.push(make('text', { class: 'middle', x: (LEFT + RIGHT) / 2, y: BOTTOM + 44 }, labels.x))
  parts.push(make('text', { x: LEFT, y: 13 }, labels.y))
  svg.replaceChildren(...parts)
}

/** Round numbers from at or below `low` to at or above `high`. */
function ticks(low, high) {
  const rough = (high - low || Math.abs(high) || 1) / TICKS
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough)
  const first = Math.floor(low / step)
  return Array.from({ length: Math.ceil(high / step) - first + 1 }, (_, place) => (first + place) * step)
}

function short(value) {
  return Number(value.toPrecision(4)).toLocaleString('en', { maximumSignificantDigits: 4 })
}

function make(tag, attributes, text = '') {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.textContent = text
  return element
}
