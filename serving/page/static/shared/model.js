// Where answers come from: the model's provenance, its warnings and its limitations, from GET /info.

import { Failure, info } from './server.js'

const $ = (id) => document.getElementById(id)

/**
 * Fills #provenance, #warnings and #limitations. more(info): the page's own rows, as [name, value, style] each.
 * Resolves to the answer of GET /info, or to nothing where the server did not say.
 */
export async function showModel(more = () => [], warnings = () => []) {
  try {
    const answer = await info()
    const { model, limitations = [] } = answer
    const { provenance } = model
    const rows = [
      ['Model', model.model_digest.slice(0, 16), 'code'],
      ['Variant', model.variant],
      ['Data', `${provenance.data_profile} ${provenance.data_version.slice(0, 12)}`, 'code'],
      ['Made from', `${provenance.git_commit.slice(0, 12)}${provenance.git_dirty ? ' (with changes)' : ''}`, 'code'],
      ['Promoted', model.promoted ? 'yes: it passed every gate' : 'no'],
      ...more(answer),
    ]
    $('provenance').replaceChildren(...rows.map(([name, value, style]) => row(name, value, style)))
    warn(model, warnings(answer))
    if (limitations.length) $('limitations').replaceChildren(...limitations.map((text) => item('li', text)))
    return answer
  } catch (error) {
    $('provenance').replaceChildren(row('Model', error instanceof Failure ? 'unknown: the server did not say' : 'unknown'))
    if (!(error instanceof Failure)) console.error(error)
  }
}

function warn(model, warnings) {
  if (!model.promoted) warnings.push('This model has passed no gate. It is served because somebody asked for it by name.')
  if (model.provenance.data_profile !== 'course') {
    warnings.push(`This model was trained on the “${model.provenance.data_profile}” data, a stand-in for the real collection.`)
  }
  $('warnings').replaceChildren(...warnings.map((text) => item('p', text)))
  $('warnings').hidden = !warnings.length
}

export function item(tag, text) {
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
