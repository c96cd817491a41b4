// The front page: every lab, what its gate said of its model, and a few of its figures, from GET /labs.json.

import { item } from './shared/model.js'
import { Failure, send } from './shared/server.js'

const $ = (id) => document.getElementById(id)
const VERDICTS = {
  PASS: ['✓ Passed its gate', 'good'],
  WAIVED: ['Let through by a waiver', ''],
  FAIL: ['✗ Failed its gate', 'bad'],
  INSUFFICIENT: ['Not shown to be good enough', 'bad'],
}

function card({ name, about, verdict, audit, metrics, url, command, problem }) {
  const article = document.createElement('article')
  const words = name.replaceAll('_', ' ')
  const title = item('h2', url ? '' : heading(words))
  if (url) title.append(link(url, heading(words)))
  const [said, style] = problem ? ['Cannot be served', 'bad'] : command ? ['No model yet', ''] : VERDICTS[verdict] ?? ['Has passed no gate', 'bad']
  const audited = audit ? ` · audit: ${audit.toLowerCase()}` : ''
  const standing = item('p', said + audited)
  standing.className = `verdict ${style}`
  const what = item('p', about)
  what.className = 'about'
  article.append(title, standing, what)
  if (command) article.append(how('Make one: ', item('code', command)))
  else if (problem) article.append(how(problem))
  else {
    const figures = document.createElement('dl')
    figures.append(...Object.entries(metrics).map(([metric, value]) => row(metric.replaceAll('_', ' '), written(value))))
    article.append(figures)
  }
  const listed = document.createElement('li')
  listed.append(article)
  return listed
}

function heading(words) {
  return words.length < 4 ? words.toUpperCase() : words[0].toUpperCase() + words.slice(1)
}

function link(url, text) {
  const element = item('a', text)
  element.href = url
  return element
}

function how(...parts) {
  const element = document.createElement('p')
  element.className = 'how'
  element.append(...parts)
  return element
}

function row(name, value) {
  const element = document.createElement('div')
  element.append(item('dt', name), item('dd', value))
  return element
}

/** Four significant digits: enough for an accuracy of .9951, few enough to read. */
function written(value) {
  return String(Number(value.toPrecision(4)))
}

try {
  const labs = await (await send('labs.json')).json()
  // Those that can be tried first, those that cannot be served before those that are not there.
  const order = ({ url, command }) => (url ? 0 : command ? 2 : 1)
  $('labs').replaceChildren(...labs.sort((one, other) => order(one) - order(other)).map(card))
} catch (error) {
  if (!(error instanceof Failure)) console.error(error)
  $('problem').textContent = error instanceof Failure ? error.message : 'Something broke in this page. Reload it to go on.'
  $('problem').hidden = false
}
$('labs').ariaBusy = false
