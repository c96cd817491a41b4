// Asking this server; its refusals and its absence become an Error whose message is for people.

export class Failure extends Error {
  retryAfter = 0 // seconds that the server asked to wait; 0: it did not say that waiting helps
}

/** The model behind the page: GET /info. */
export async function info() {
  return (await send('info')).json()
}

/** The Response to a request. options: of fetch, with `json` for a body that is to be sent as such. */
export async function send(path, { json, ...options } = {}) {
  if (json) Object.assign(options, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(json) })
  let response
  try {
    response = await fetch(path, options)
  } catch (error) {
    if (options.signal?.aborted) throw error
    throw new Failure('The server does not answer. Is it still running, and are you online?')
  }
  if (!response.ok) {
    throw Object.assign(new Failure(await inWords(response)), { retryAfter: Number(response.headers.get('Retry-After')) || 0 })
  }
  return response
}

/** RFC 9457 problems, and Retry-After, as a sentence or two. */
async function inWords(response) {
  const problem = await response.json().catch(() => ({}))
  const seconds = Number(response.headers.get('Retry-After'))
  const again = seconds ? `Try again in ${seconds} second${seconds === 1 ? '' : 's'}.` : 'Try again in a moment.'
  if (response.status === 429) return `The server has as much to do as it can. ${again}`
  if (response.status === 503) return `The server can't do this just now. ${again}`
  const fields = (problem.errors ?? []).map(({ field, reason }) => `${field.replaceAll('_', ' ')}: ${reason}`)
  const reason = fields.join('; ') || problem.detail || response.statusText
  if (response.status < 500) return `The server refused this: ${reason}.`.replace('..', '.')
  return `Something broke in the server (${reason}). It is not your doing; ${again.toLowerCase()}`
}
