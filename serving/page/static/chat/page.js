// The page: a conversation, and beside each answer what the untuned model says.

import { events } from './shared/events.js'
import { fault } from './shared/form.js'
import { item, showModel } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const NAMES = { yoda: 'Yoda', leprechaun: 'A leprechaun', plain: 'Before tuning' }
let said = [] // the conversation that the tuned model has seen
let writing // an AbortController while an answer is written

$('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  ask()
})
$('message').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
  event.preventDefault()
  $('ask').requestSubmit()
})
$('stop').addEventListener('click', () => writing?.abort())
$('clear').addEventListener('click', () => {
  writing?.abort()
  said = []
  $('conversation').replaceChildren()
  problem('')
  $('message').focus()
})

async function ask() {
  const wrong = fault($('ask'))
  if (wrong) return problem(wrong)
  if (writing) return
  const mine = (writing = new AbortController())
  const content = $('message').value.trim()
  if (!content) return stopped(mine, 'Your message: it says nothing.')
  const conversation = said
  const messages = [...said, { role: 'user', content }]
  const style = $('style').value
  const kinds = $('beside').checked ? [...new Set([style, 'plain'])] : [style]
  const answers = document.createElement('div')
  const turn = document.createElement('li')
  answers.className = 'answers'
  turn.append(item('p', content), answers)
  turn.firstChild.className = 'question'
  $('conversation').append(turn)
  $('stop').disabled = false
  $('send').disabled = true
  problem('')
  const parts = kinds.map((kind) => answer(kind, messages, answers, mine.signal))
  const results = await Promise.allSettled(parts)
  const broken = results.find(({ status }) => status === 'rejected')
  const text = results[0].value
  if (text && said === conversation) {
    said = [...messages, { role: 'assistant', content: text }]
    $('message').value = ''
  }
  if (!text) turn.remove()
  stopped(mine, broken && !mine.signal.aborted ? inWords(broken.reason) : '')
}

/** Writes one answer into the page as it comes; resolves to its text. */
async function answer(style, messages, place, signal) {
  const box = document.createElement('article')
  const text = item('p', '')
  box.className = `answer ${style} writing`
  box.append(item('h3', NAMES[style]), text)
  place.append(box)
  try {
    const json = { messages, style, temperature: Number($('temperature').value) }
    const response = await send('chat', { json, signal })
    for await (const { event, data } of events(response.body)) {
      if (event === 'error') throw new Failure(data.detail)
      if (event === 'text') text.textContent += data.text
      if (event === 'done' && !data.text.trim()) text.textContent = '(it says nothing)'
      if (event === 'done' && data.finish_reason === 'length') text.textContent += ' …'
      if (event === 'done') return data.text.trim()
    }
    throw new Failure('The answer broke off.')
  } finally {
    box.classList.remove('writing')
  }
}

function inWords(error) {
  if (!(error instanceof Failure)) console.error(error)
  return error instanceof Failure ? error.message : 'Something on this page broke.'
}

function stopped(mine, text) {
  if (writing !== mine) return
  writing = undefined
  $('stop').disabled = true
  $('send').disabled = false
  problem(text)
}

function problem(text) {
  $('problem').textContent = text
  $('problem').hidden = !text
}

showModel()
