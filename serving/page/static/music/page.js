// The page: one form, one tune. What a tune needs to be made again is in the address, after the #.

import { play, stream } from './api.js'
import { beginning } from './beginning.js'
import { known as isKnown } from './forms.js'
import { hasMusic, Score } from './score.js'
import { fault } from './shared/form.js'
import { item, showModel } from './shared/model.js'
import { Failure } from './shared/server.js'

const SEEDS = 2 ** 32 // short enough to read out; the server takes any below 2 ** 53
const CHARACTERS_A_SECOND = 260 // the network is faster than an eye: what it wrote is shown at a pace one can follow
const CHARACTERS_A_FRAME = 24 // at most, or a slow device would show a tune in two jumps
const DRAW_EVERY_MS = 150
const TUNE_BUTTONS = ['listen', 'save-abc', 'save-midi', 'save-wav', 'share']
const SOUND_BUTTONS = ['listen', 'save-midi', 'save-wav']
const NUMBERS = ['seed', 'temperature', 'top_k', 'top_p', 'parts', 'bars', 'max_length']
const FORM = ['parts', 'bars', 'repeats']

const $ = (id) => document.getElementById(id)
const form = $('controls')
const score = new Score($('score'))
const calm = matchMedia('(prefers-reduced-motion: reduce)')
let writing // the AbortController of the tune being written
let tune // the tune on the page: { abc, title, seed, sound }
let info // what the server says of its model and its limits, once it has

form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (writing) writing.abort()
  else ask()
})
form.addEventListener('change', offer)
form.elements.temperature.addEventListener('input', showTemperature)
$('listen').addEventListener('click', listen)
$('save-abc').addEventListener('click', () => save(new Blob([`${tune.abc}\n`], { type: 'text/vnd.abc' }), 'abc'))
$('save-midi').addEventListener('click', () => attempt(async () => save(await play('midi', tune.abc), 'mid')))
$('save-wav').addEventListener('click', () => attempt(async () => save(await sound(), 'wav')))
$('share').addEventListener('click', share)
for (const name of ['play', 'seeked']) $('audio').addEventListener(name, () => score.follow($('audio')))
addEventListener('hashchange', writeFromAddress)
addEventListener('resize', debounce(redraw, 200))

/** Writes what the form asks for. What the server is known to refuse is not asked for. */
async function ask() {
  await known
  form.elements.start.setCustomValidity(startFault())
  const wrong = fault(form)
  if (wrong) fail(new Failure(`This can't be asked for. ${wrong}`))
  else write(request())
}

/** Why no tune can begin as the form says, as far as the page can tell; '' where it can tell nothing. */
function startFault() {
  const { key, metre, start, type } = form.elements
  const text = start.value
  if (!text) return ''
  if (`\n${text}`.includes('\n\n')) return 'an empty line ends a tune: leave it out.'
  const given = [key, metre, type].find((field) => field.value)
  if (given && /^[A-Za-z]:(?![|:])/.test(text)) return `it has headers of its own: leave out the ${given.name}.`
  if (!info) return ''
  const unknown = [...text].find((character) => !info.spec.vocabulary.includes(character))
  if (unknown) return `the model does not know the character ${unknown}: leave it out.`
  return text.length > info.limits.max_start ? `it may have ${info.limits.max_start} characters at most.` : ''
}

/** What the form asks for; empty fields are left out. */
function request() {
  const entries = [...new FormData(form)].filter(([, value]) => value !== '')
  return Object.fromEntries(entries.map(([name, value]) => [name, typed(name, value)]))
}

function typed(name, value) {
  if (name === 'repeats') return value === 'true'
  return NUMBERS.includes(name) ? Number(value) : value
}

function writeFromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1))
  if (!asked.has('seed') || (tune && asked.toString() === tune.address)) return
  form.reset()
  for (const [name, value] of asked) {
    const field = form.elements.namedItem(name)
    if (field) field.value = value
  }
  offer()
  showTemperature()
  ask()
}

/** Writes one tune. */
async function write(asked) {
  writing?.abort()
  const mine = (writing = new AbortController())
  const started = performance.now()
  let live
  try {
    begin({ ...asked, seed: asked.seed ?? Math.floor(Math.random() * SEEDS) })
    live = new LiveText(mine.signal)
    const { tune: made } = await stream(tune.asked, (text) => live.add(text), mine.signal)
    const seconds = (performance.now() - started) / 1000
    await live.finished()
    if (!mine.signal.aborted) finish(made, seconds)
  } catch (error) {
    await live.finished()
    if (!mine.signal.aborted) fail(error)
    else if (writing === mine) say('Stopped.')
  }
  if (writing !== mine) return // another tune has taken the page
  writing = undefined
  $('write').textContent = 'Write another'
  settle()
}

function begin(asked) {
  const address = new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)])).toString()
  tune = { abc: '', title: '', seed: asked.seed, asked, address }
  history.replaceState(null, '', `#${address}`)
  $('audio').pause()
  $('audio').hidden = true
  for (const id of ['problem', 'verdict', 'problems']) $(id).hidden = true
  $('tune').hidden = true
  for (const id of TUNE_BUTTONS) $(id).disabled = true
  $('listen').hidden = false
  $('facts').textContent = ''
  $('title').textContent = ''
  $('abc').textContent = ''
  score.clear()
  say('Writing…')
  $('write').textContent = 'Stop'
}

/** The tune as it grows: text on the page at a pace one can follow, sheet music every so often. */
class LiveText {
  constructor(signal) {
    this.waiting = ''
    this.drawn = 0
    this.done = new Promise((resolve) => (this.resolve = resolve))
    signal.addEventListener('abort', () => (this.waiting = ''))
    $('abc').classList.add('writing')
  }

  add(text) {
    if ($('tune').hidden) {
      $('tune').hidden = false
      const below = $('score').getBoundingClientRect().top > 0.7 * innerHeight
      if (below) $('status').scrollIntoView({ behavior: calm.matches ? 'auto' : 'smooth', block: 'start' })
    }
    this.waiting += text
    if (!this.frame) {
      this.shown = performance.now()
      this.frame = requestAnimationFrame((now) => this.step(now))
    }
  }

  step(now) {
    const due = Math.max(0, Math.ceil(((now - this.shown) / 1000) * CHARACTERS_A_SECOND)) // a frame may have begun before
    const text = this.waiting.slice(0, calm.matches ? Infinity : Math.min(due, CHARACTERS_A_FRAME))
    this.shown = Math.max(now, this.shown)
    this.waiting = this.waiting.slice(text.length)
    tune.abc += text
    $('abc').append(text)
    $('abc').scrollTop = $('abc').scrollHeight
    if (now - this.drawn > DRAW_EVERY_MS) {
      this.drawn = now
      heading()
      score.draw(tune.abc, tune.title)
    }
    this.frame = this.waiting && requestAnimationFrame((next) => this.step(next))
    if (!this.frame && this.ending) this.resolve()
  }

  finished() {
    this.ending = true
    if (!this.frame) this.resolve()
    return this.done
  }
}

/** The tune is as long as it will be: all of it is drawn, and can be heard and kept. */
function settle() {
  $('abc').classList.remove('writing')
  if (!tune.abc) return
  heading()
  score.draw(tune.abc, tune.title)
  for (const id of TUNE_BUTTONS) $(id).disabled = false
  const silent = !hasMusic(tune.abc) || tune.abc.length > info?.limits.max_abc
  for (const id of SOUND_BUTTONS) $(id).disabled = silent
  if (!score.available) $('score').textContent = 'Sheet music is not installed on this server: the tune is below, as text.'
}

function redraw() {
  if (!tune?.abc || writing) return
  score.draw(tune.abc, tune.title)
  if (!$('audio').paused) score.follow($('audio'))
}

/** Title, key and metre from the tune's own headers. */
function heading() {
  const header = (letter) => tune.abc.match(new RegExp(`^${letter}:(.*)$`, 'm'))?.[1].trim() ?? ''
  const metre = { C: '4/4', 'C|': '2/2' }[header('M')] ?? header('M')
  const kind = header('Z').match(/id:\w+-(\w+)-/)?.[1] ?? ''
  tune.title = header('T')
  $('title').textContent = tune.title || 'Untitled'
  $('facts').textContent = [kind, header('K'), metre, `seed ${tune.seed}`].filter(Boolean).join(' · ')
}

function finish(made, seconds) {
  tune.abc = made.abc
  $('abc').textContent = made.abc
  $('abc').scrollTop = 0
  $('verdict').textContent = made.valid ? '✓ Valid: every bar adds up' : '✗ Not valid ABC'
  $('verdict').className = `verdict ${made.valid ? 'good' : 'bad'}`
  $('verdict').hidden = false
  $('problems').replaceChildren(...made.problems.slice(0, 8).map((problem) => item('li', problem)))
  $('problems').hidden = made.valid
  const again = made.redrawn ? ` ${made.redrawn} ${made.redrawn === 1 ? 'bar was' : 'bars were'} drawn again.` : ''
  say(`${made.length} characters, written in ${seconds.toFixed(2)} s. It is ${made.valid ? '' : 'not '}valid ABC.${again}`)
}

async function sound() {
  tune.sound ??= play('wav', tune.abc)
  return tune.sound.catch((error) => {
    tune.sound = undefined
    throw error
  })
}

async function listen() {
  await attempt(async () => {
    const audio = $('audio')
    URL.revokeObjectURL(audio.src)
    audio.src = URL.createObjectURL(await sound())
    audio.hidden = false
    $('listen').hidden = true
    audio.focus()
    audio.play().catch(() => {}) // a browser may refuse to start by itself; the controls are there
  })
}

function save(blob, ending) {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = `${tune.title.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '') || 'tune'}-${tune.seed}.${ending}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

async function share() {
  try {
    await navigator.clipboard.writeText(location.href)
    say('Link copied: it writes this very tune again.')
  } catch {
    say('Copy the address of this page: it writes this very tune again.')
  }
}

async function attempt(action) {
  $('problem').hidden = true
  try {
    await action()
  } catch (error) {
    fail(error)
  }
}

function fail(error) {
  if (!(error instanceof Failure)) console.error(error)
  say('')
  $('problem').textContent = error instanceof Failure ? error.message : 'Something broke in this page. Reload it to go on.'
  $('problem').hidden = false
}

/** Leaves out kinds that do not go with the metre that is chosen, metres that do not go with the kind, and forms that
 * no tune of them has. */
function offer() {
  if (!info) return
  const { type, metre } = form.elements
  const { types_by_metre: typesByMetre } = info.spec
  const goes = (metre, type) => !metre || (metre in typesByMetre && (!type || type in typesByMetre[metre]))
  for (const option of metre.options) option.disabled = !goes(option.value, type.value)
  for (const option of type.options) option.disabled = !goes(metre.value, option.value)
  const asked = Object.fromEntries(['metre', 'type', ...FORM].map((name) => [name, form.elements[name].value]))
  for (const name of FORM) {
    for (const option of form.elements[name].options) {
      option.disabled = option.value !== '' && !isKnown(info.spec.forms ?? {}, { ...asked, [name]: option.value })
    }
  }
}

function showTemperature() {
  $('temperature-value').textContent = Number(form.elements.temperature.value).toFixed(2)
}

function surprise({ metrics: { bits_per_char: bits } }) {
  return bits ? [['Surprise', `${bits.toFixed(3)} bits per character on tunes it has not read`]] : []
}

function say(text) {
  $('status').textContent = text
}

function debounce(action, milliseconds) {
  let timer
  return () => {
    clearTimeout(timer)
    timer = setTimeout(action, milliseconds)
  }
}

const known = showModel(surprise).then((answer) => {
  info = answer
  if (!info) return
  const { limits } = info
  const { max_length: length, temperature, top_k: choices } = form.elements
  length.max = limits.max_length
  temperature.min = limits.min_temperature
  temperature.max = limits.max_temperature
  choices.max = limits.max_top_k
  offer()
  showTemperature()
})
beginning({ form, offer, attempt, say, limits: () => known.then(() => info?.limits) })
showTemperature()
writeFromAddress()
