// The page: what a photograph shows, by the lab's model or by one that the visitor taught.

import { fault } from './shared/form.js'
import { item, showModel } from './shared/model.js'
import { fitting, open } from './shared/picture.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
let taught // the name of the visitor's own model, while there is one
let photograph // the File that was looked at last
let looking // the AbortController of the photograph being looked at

$('file').addEventListener('change', () => look($('file').files[0]))
addEventListener('paste', (event) => look(event.clipboardData.files[0]))
for (const name of ['dragover', 'drop', 'dragleave']) $('drop').addEventListener(name, drag)
$('add').addEventListener('click', () => addCategory())
$('lesson').addEventListener('submit', (event) => {
  event.preventDefault()
  teach()
})
$('forget').addEventListener('click', forget)

function drag(event) {
  event.preventDefault()
  $('drop').classList.toggle('over', event.type === 'dragover')
  if (event.type === 'drop') look(event.dataTransfer.files[0])
}

/** Asks what a photograph shows. */
async function look(file) {
  if (!file) return
  photograph = file
  looking?.abort()
  const mine = (looking = new AbortController())
  problem('')
  try {
    const picture = await open(file)
    const body = await fitting(file, picture, (await known)?.limits)
    show(file, picture)
    const path = taught ? `classify?taught=${taught}` : 'classify'
    const response = await send(path, { method: 'POST', headers: { 'Content-Type': body.type }, body, signal: mine.signal })
    const { categories } = await response.json()
    if (mine.signal.aborted) return
    $('bars').replaceChildren(...categories.map(bar))
    $('asked').textContent = taught ? 'By the model that you taught.' : 'By the model of 96 categories.'
  } catch (error) {
    if (!mine.signal.aborted) fail(error)
  }
}

function show(file, picture) {
  URL.revokeObjectURL($('photograph').src)
  $('photograph').hidden = !picture
  if (picture) $('photograph').src = URL.createObjectURL(file)
}

function bar({ category, probability }) {
  const line = item('li', '')
  const meter = document.createElement('progress')
  meter.max = 1
  meter.value = probability
  const name = category.replaceAll('_', ' ')
  meter.ariaLabel = name
  line.append(item('span', name), meter, item('span', `${(100 * probability).toFixed(1)} %`))
  return line
}

function addCategory() {
  const number = $('categories').children.length + 1
  const field = document.createElement('fieldset')
  const name = Object.assign(document.createElement('input'), { type: 'text', required: true, maxLength: 60, placeholder: `category ${number}` })
  const files = Object.assign(document.createElement('input'), { type: 'file', multiple: true, required: true, accept: $('file').accept })
  for (const [text, input] of [['Name', name], ['Pictures', files]]) {
    const label = item('label', text)
    label.append(input)
    field.append(label)
  }
  $('categories').append(field)
}

/** Sends the pictures, each under its category's name, and takes the model that comes of them. */
async function teach() {
  const fields = [...$('categories').children].map((field) => [...field.querySelectorAll('input')])
  const wrong = fault($('lesson')) || tooMany(fields, (await known)?.limits)
  if (wrong) return problem(wrong)
  problem('')
  $('teach').disabled = true
  $('lesson-said').textContent = 'Looking at your pictures…'
  try {
    const form = new FormData()
    for (const [name, { files }] of fields) {
      for (const file of files) {
        const picture = await open(file)
        form.append(name.value.trim(), await fitting(file, picture, smaller((await known)?.limits)), file.name)
        picture?.image.close()
      }
    }
    const answer = await (await send('teach', { method: 'POST', body: form })).json()
    taught = answer.taught
    const found = answer.left_out_accuracy === null ? '' : ` Taught without them, it finds ${Math.round(100 * answer.left_out_accuracy)} % of these pictures.`
    $('lesson-said').textContent = `It knows ${answer.categories.map(({ category }) => category).join(', ')}.${found} Show it another picture.`
    $('forget').hidden = false
    if (photograph) await look(photograph)
  } catch (error) {
    $('lesson-said').textContent = ''
    fail(error)
  } finally {
    $('teach').disabled = false
  }
}

/** What the server is known to refuse. */
function tooMany(fields, limits) {
  const pictures = fields.reduce((sum, [, { files }]) => sum + files.length, 0)
  const names = new Set(fields.map(([name]) => name.value.trim()))
  if (names.size < 2) return 'Name two different categories or more.'
  if (limits && names.size > limits.max_categories) return `At most ${limits.max_categories} categories.`
  if (limits && pictures > limits.max_files) return `At most ${limits.max_files} pictures in all, and here are ${pictures}.`
  return ''
}

/** Limits of one picture among as many as a form may hold. */
function smaller(limits) {
  return limits && { ...limits, body_bytes: Math.floor(limits.body_bytes / (limits.max_files + 1)) }
}

async function forget() {
  const name = taught
  taught = undefined
  $('forget').hidden = true
  $('lesson-said').textContent = 'Your categories are forgotten.'
  try {
    await send(`teach?taught=${name}`, { method: 'DELETE' })
    if (photograph) await look(photograph)
  } catch (error) {
    fail(error)
  }
}

function fail(error) {
  problem(error instanceof Failure ? error.message : 'Something on this page broke.')
  if (!(error instanceof Failure)) console.error(error)
}

function problem(text) {
  $('problem').textContent = text
  $('problem').hidden = !text
}

addCategory()
addCategory()
const known = showModel()
