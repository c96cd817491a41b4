// The page: one form, one tune. What a tune needs to be made again is in the address, after the #.

import { Failure, info, play, stream } from './api.js'
import { Score } from './score.js'

const SEEDS = 2 ** 32 // short enough to read out; the server takes any below 2 ** 53
const LETTERS_A_SECOND = 260 // the network is faster than an eye: what it wrote is shown at a pace one can follow
const DRAW_EVERY_MS = 150
const NUMBERS = ['seed', 'temperature', 'top_k', 'top_p', 'max_length']

const $ = (id) => document.getElementById(id)
const form = $('controls')
const score = new Score($('score'))
const calm = matchMedia('(prefers-reduced-motion: reduce)')
let writing // the AbortController of the tune being written
let tune // the tune on the page: { abc, title, seed, sound }

form.addEventListener('submit', (event) => {
  event.preventDefault()
  if (writing) writing.abort()
  else write(request())
})
form.elements.temperature.addEventListener('input', showTemperature)
$('listen').addEventListener('click', listen)
$('save-abc').addEventListener('click', () => save(new Blob([`${tune.abc}\n`], { type: 'text/vnd.abc' }), 'abc'))
$('save-midi').addEventListener('click', () => attempt(async () => save(await play('midi', tune.abc), 'mid')))
$('save-wav').addEventListener('click', () => attempt(async () => save(await sound(), 'wav')))
$('share').addEventListener('click', share)
for (const name of ['play', 'seeked']) $('audio').addEventListener(name, () => score.follow($('audio')))
addEventListener('hashchange', writeFromAddress)
new ResizeObserver(debounce(() => tune && score.draw(tune.abc, tune.title), 200)).observe($('tune'))

showTemperature()
showModel()
writeFromAddress()

/** What the form asks for, with a seed; empty fields are left out. */
function request() {
  const entries = [...new FormData(form)].filter(([, value]) => value !== '')
  const asked = Object.fromEntries(entries.map(([name, value]) => [name, NUMBERS.includes(name) ? Number(value) : value]))
  return { ...asked, seed: asked.seed ?? Math.floor(Math.random() * SEEDS) }
}

function writeFromAddress() {
  const asked = new URLSearchParams(location.hash.slice(1))
  if (!asked.has('seed') || (tune && asked.toString() === tune.address)) return
  form.reset()
  for (const [name, value] of asked) if (form.elements[name]) form.elements[name].value = value
  showTemperature()
  write(request())
}

async function write(asked) {
  writing = new AbortController()
  const { signal } = writing
  const paper = new Paper(signal)
  begin(asked)
  try {
    const started = performance.now()
    const done = await stream(asked, (text) => paper.add(text), signal)
    const seconds = (performance.now() - started) / 1000
    await paper.finished()
    finish(done.tune, seconds)
  } catch (error) {
    await paper.finished()
    if (signal.aborted) say('Stopped.')
    else fail(error)
  } finally {
    paper.lift()
    writing = undefined
    $('write').textContent = 'Write another'
  }
}

function begin(asked) {
  const address = new URLSearchParams(Object.entries(asked).map(([name, value]) => [name, String(value)])).toString()
  tune = { abc: '', title: '', seed: asked.seed, address }
  history.replaceState(null, '', `#${address}`)
  $('audio').pause()
  $('audio').hidden = true
  for (const id of ['problem', 'verdict', 'problems', 'tune']) $(id).hidden = true
  for (const id of ['listen', 'save-abc', 'save-midi', 'save-wav', 'share']) $(id).disabled = true
  $('listen').hidden = false
  $('facts').textContent = ''
  $('title').textContent = ''
  $('abc').textContent = ''
  score.clear()
  say('Writing…')
  $('write').textContent = 'Stop'
}

/** The tune as it grows: text on the page at a pace one can follow, sheet music every so often. */
class Paper {
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
    const many = calm.matches || document.hidden ? Infinity : Math.max(1, Math.round(((now - this.shown) / 1000) * LETTERS_A_SECOND))
    this.shown = now
    const text = this.waiting.slice(0, many)
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

  lift() {
    $('abc').classList.remove('writing')
    if (!tune.abc) return
    heading()
    score.draw(tune.abc, tune.title)
    for (const id of ['listen', 'save-abc', 'save-midi', 'save-wav', 'share']) $(id).disabled = false
    if (!score.available) say('Sheet music is not installed on this server; the tune is below as text.')
  }
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
  $('verdict').textContent = made.valid ? '✓ Every bar adds up' : '✗ Not valid ABC'
  $('verdict').className = `verdict ${made.valid ? 'good' : 'bad'}`
  $('verdict').hidden = false
  $('problems').replaceChildren(...made.problems.slice(0, 8).map((problem) => item('li', problem)))
  $('problems').hidden = made.valid
  say(`${made.length} letters, written in ${seconds.toFixed(2)} s. ${made.valid ? 'It is valid ABC.' : 'It is not valid ABC.'}`)
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
    await audio.play()
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

async function showModel() {
  try {
    const { model, metrics = {}, limits = {} } = await info()
    const { provenance } = model
    const bits = metrics.bits_per_char
    const rows = [
      ['Model', model.model_digest.slice(0, 16), 'code'],
      ['Variant', model.graph],
      ['Data', `${provenance.data_profile} ${provenance.data_version.slice(0, 12)}`, 'code'],
      ['Made from', `${provenance.git_commit.slice(0, 12)}${provenance.git_dirty ? ' (with changes)' : ''}`, 'code'],
      ['Promoted', model.promoted ? 'yes: it passed every gate' : 'no'],
      ...(bits ? [['Surprise', `${bits.toFixed(3)} bits per letter on tunes it has not read`]] : []),
    ]
    $('provenance').replaceChildren(...rows.map(([name, value, style]) => row(name, value, style)))
    if (limits.max_length) form.elements.max_length.max = limits.max_length
    warn(model, metrics)
  } catch (error) {
    $('provenance').replaceChildren(row('Model', error instanceof Failure ? 'unknown: the server did not say' : 'unknown'))
    if (!(error instanceof Failure)) console.error(error)
  }
}

function warn(model, metrics) {
  const warnings = []
  if (!model.promoted) warnings.push('This model has passed no gate. It is served because somebody asked for it by name.')
  if (model.provenance.data_profile !== 'course') {
    warnings.push(`This model was trained on the “${model.provenance.data_profile}” data, less than the real collection.`)
  }
  $('warnings').replaceChildren(...warnings.map((text) => item('p', text)))
  $('warnings').hidden = !warnings.length
  const share = metrics.valid_sample_rate
  if (share) {
    const text = `Of a hundred tunes it writes unaided, about ${Math.round(100 * (1 - share))} are not valid ABC.`
    $('weaknesses').append(item('li', text))
  }
}

function showTemperature() {
  $('temperature-value').textContent = Number(form.elements.temperature.value).toFixed(2)
}

function say(text) {
  $('status').textContent = text
}

function item(tag, text) {
  const element = document.createElement(tag)
  element.textContent = text
  return element
}

function row(name, value, style) {
  const element = document.createElement('div')
  const shown = item('dd', value)
  if (style) shown.className = style
  element.append(item('dt', name), shown)
  return element
}

function debounce(action, milliseconds) {
  let timer
  return () => {
    clearTimeout(timer)
    timer = setTimeout(action, milliseconds)
  }
}
