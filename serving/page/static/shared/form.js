// What a form asks for that the server is known to refuse: the page says so, and does not ask.

/** The first field of a form whose value is refused, in words, and that field shown; '' where there is none. */
export function fault(form) {
  const field = [...form.elements].find(({ validity }) => validity && !validity.valid)
  if (!field) return ''
  const details = field.closest('details')
  if (details) details.open = true
  field.focus()
  return `${field.labels[0].firstChild.textContent.trim()}: ${field.validationMessage}`
}
