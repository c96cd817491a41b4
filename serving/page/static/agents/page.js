// The page: an episode that the server plays, or one where a visitor may take over: CartPole in the page, or a drive on
// the server, which is told of every action so far and keeps nothing.

import { CartPole, STEP_MS } from './cartpole.js'
import { ARROWS, Keyboard } from './keyboard.js'
import { events } from './shared/events.js'
import { fault } from './shared/form.js'
import { item, showModel } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const NAMES = { 'CartPole-v1': ['push left', 'push right'], 'ALE/Pong-v5': ['stay', 'up', 'down'], 'CarRacing-v3': ['steering', 'gas', 'brake'] }
const LIVE = { 'CartPole-v1': live, 'CarRacing-v3': drive } // what a visitor can take over
const KEYS = { ArrowLeft: 0, ArrowRight: 1 }
const FRAME_MS = 30 // between two pictures of an episode that the server plays
const HELD_MS = 80 // of a car: it holds an action for four frames of a fiftieth of a second
let playing // an AbortController while something is played
let game // its name
let hand // the action that a visitor holds down, or the keyboard that drives; undefined while the agent plays
let wanted // what the agent would do now
const keyboard = new Keyboard()
let names = []
let stepMs = FRAME_MS

$('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  start(watch)
})
$('live').addEventListener('click', () => start(LIVE[game]))
$('stop').addEventListener('click', () => playing?.abort())
$('back').addEventListener('click', () => takes(undefined))
for (const [id, key] of [['left', 'ArrowLeft'], ['right', 'ArrowRight'], ['gas', 'ArrowUp'], ['brake', 'ArrowDown']]) {
  $(id).addEventListener('click', () => drives() || takes(KEYS[key]))
  $(id).addEventListener('pointerdown', () => drives() && press(key))
  for (const end of ['pointerup', 'pointerleave', 'pointercancel']) $(id).addEventListener(end, () => keyboard.held.delete(key))
}
document.addEventListener('keydown', (event) => {
  if (!ARROWS.includes(event.key) || $('hands').hidden || event.target.matches('input, select')) return
  if (!drives() && !(event.key in KEYS)) return
  event.preventDefault()
  if (drives()) press(event.key)
  else takes(KEYS[event.key])
})
document.addEventListener('keyup', (event) => keyboard.held.delete(event.key))
window.addEventListener('blur', () => keyboard.held.clear())

function drives() {
  return LIVE[game] === drive
}

/** A key that is pressed takes the car over. */
function press(key) {
  keyboard.held.add(key)
  if (hand) return
  keyboard.takeOver(wanted)
  takes(keyboard)
}

/** action: what the visitor does from now on, or the keyboard; undefined gives control back. */
function takes(action) {
  hand = action
  const mine = action === keyboard ? 'You drive.' : `You play: ${names[action]}.`
  $('who').textContent = action === undefined ? `The agent ${drives() ? 'drives' : 'plays'}.` : mine
  $('back').disabled = action === undefined
}

/** Plays something until it ends or is stopped; problems are said. */
async function start(play) {
  const wrong = play !== live && fault($('ask'))
  if (wrong) return problem(wrong)
  playing?.abort()
  const mine = (playing = new AbortController())
  busy(true)
  problem('')
  try {
    await play(mine.signal)
  } catch (error) {
    if (!mine.signal.aborted) problem(error instanceof Failure ? error.message : 'Something on this page broke.')
    if (!mine.signal.aborted && !(error instanceof Failure)) console.error(error)
  } finally {
    if (playing === mine) busy(false)
  }
}

function problem(text) {
  $('problem').textContent = text
  $('problem').hidden = !text
}

function busy(yes) {
  $('stop').disabled = !yes
  $('hands').hidden = true
}

/** An episode of the server's, with a picture for each step. */
async function watch(signal) {
  const seed = Number($('seed').value)
  const response = await send(`episode?seed=${seed}`, { signal })
  let ended = false
  for await (const { event, data } of events(response.body)) {
    if (event === 'error') throw new Failure(data.detail)
    if (event === 'done') {
      ended = true
      $('said').textContent = `Seed ${seed}: ${data.ended ? 'over' : 'cut off'} after ${data.steps} steps.`
      $('score').textContent = `Return ${rounded(data.total)}`
    } else {
      await show(data.picture)
      $('said').textContent = `Seed ${seed}, step ${data.step + 1}.`
      $('score').textContent = `Return ${rounded(data.total)}`
      think(data.probabilities, data.action)
      await pause(stepMs, signal)
    }
  }
  if (!ended) throw new Failure('The connection broke, so the rest of this episode is missing.')
}

async function show(picture, type = 'image/png') {
  const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0))
  const image = await createImageBitmap(new Blob([bytes], { type }))
  Object.assign($('picture'), { width: image.width, height: image.height })
  $('picture').getContext('2d').drawImage(image, 0, 0)
}

/** CartPole in the page, again and again; the server decides for each step, unless the visitor does. */
async function live(signal) {
  $('hands').hidden = false
  takes(undefined)
  Object.assign($('picture'), { width: 600, height: 400 })
  for (let episode = 1; !signal.aborted; episode++) {
    const game = new CartPole()
    while (!game.over) {
      game.draw($('picture'))
      const next = pause(STEP_MS / Number($('speed').value), signal)
      const answer = await (await send('act', { json: { observations: [game.state] }, signal })).json()
      think(answer.probabilities[0], hand ?? answer.actions[0])
      game.step(hand ?? answer.actions[0])
      $('said').textContent = `Episode ${episode}, step ${game.steps}.`
      $('score').textContent = `Return ${game.steps}`
      await next
    }
    game.draw($('picture'))
    $('said').textContent = game.fell ? `It fell after ${game.steps} steps.` : `It stood for ${game.steps} steps.`
    takes(undefined)
    await pause(1500, signal)
  }
}

/** A drive on the server: the page says the seed and all actions so far, and is shown what comes of them. */
async function drive(signal) {
  const [seed, actions] = [Number($('seed').value), []]
  const decide = async () => (await send('play', { json: { seed, actions }, signal })).json()
  let now = await decide()
  wanted = now.action
  keyboard.held.clear()
  $('hands').hidden = false
  takes(undefined)
  $('picture').focus()
  while (!now.ended) {
    const held = HELD_MS / Number($('speed').value)
    const next = pause(held, signal)
    next.catch(() => undefined) // when stopped, nobody may be waiting for it any more
    const taken = hand ? hand.action() : wanted
    actions.push(taken)
    now = await decide()
    wanted = now.action
    think([], taken)
    await film(now.pictures, held, signal)
    $('said').textContent = `Seed ${seed}, step ${now.step}.`
    $('score').textContent = `Return ${rounded(now.total)}`
    await next
  }
  $('said').textContent = `Seed ${seed}: over after ${now.step} steps.`
}

/** Shows pictures one after the other, so that all of them and a decision take `duration` milliseconds. */
async function film(pictures, duration, signal) {
  for (const [place, picture] of pictures.entries()) {
    if (place) await pause(duration / pictures.length, signal)
    await show(picture, 'image/jpeg')
  }
}

/** How likely each action is, and which one is taken; of a car, how far it steers and presses each pedal. */
function think(probabilities, taken) {
  const driven = Array.isArray(taken)
  const shown = driven ? taken : probabilities
  const rows = $('actions').children
  if (rows.length !== shown.length) $('actions').replaceChildren(...shown.map((_, action) => bar(action)))
  shown.forEach((share, action) => {
    const row = rows[action]
    row.classList.toggle('taken', action === taken)
    row.querySelector('meter').min = driven && action === 0 ? -1 : 0
    row.querySelector('meter').value = share
    row.querySelector('output').textContent = driven ? share.toFixed(2) : `${(100 * share).toFixed(0)} %`
  })
}

function rounded(number) {
  return Math.round(10 * number) / 10
}

function bar(action) {
  const row = document.createElement('div')
  row.className = 'action'
  const meter = document.createElement('meter')
  meter.ariaLabel = names[action] ?? `action ${action}`
  row.append(item('span', names[action] ?? `action ${action}`), meter, document.createElement('output'))
  return row
}

function pause(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, milliseconds)
    signal.addEventListener('abort', () => (clearTimeout(timer), reject(signal.reason)), { once: true })
  })
}

function measured({ metrics }) {
  const rows = [
    ['Mean return', 'mean_return', (value) => `${value.toFixed(1)} over test episodes`],
    ['Lowest', 'min_return', (value) => value.toFixed(1)],
    ['Random', 'random_return', (value) => `${value.toFixed(1)} by random actions`],
  ]
  return rows.filter(([, name]) => name in metrics).map(([title, name, write]) => [title, write(metrics[name])])
}

const model = await showModel((answer) => [
  ['Game', `${answer.spec.environment.id}`],
  ['Learnt by', answer.spec.algorithm.toUpperCase()],
  ...measured(answer),
])
if (model) {
  const { environment } = model.spec
  game = environment.id
  names = NAMES[game] ?? []
  $('live').hidden = !(game in LIVE)
  if (environment.action_count === 0) {
    stepMs = HELD_MS
    $('live').textContent = 'Drive'
    $('how').textContent = 'an arrow key to take over: ← and → steer, ↑ is the gas, ↓ the brake.'
    $('gas').hidden = $('brake').hidden = false
    $('lead').textContent =
      'A small neural network has learnt to drive by imitating a driver who knows the whole track. It sees what you see.'
    think([], names.map(() => 0))
  } else think(Array(environment.action_count).fill(0))
}
for (const button of $('ask').querySelectorAll('button:not(#stop)')) button.disabled = false
