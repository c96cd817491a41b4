// The forms of tunes that the model knows, as its bundle has them: "r:1 ....11..:....1122:" is two parts of eight bars,
// a character for each, and both are played twice. "" stands for tunes without a form.

/** Whether tunes of a metre and type have such parts. Of what is asked, '' is anything. */
export function known(forms, { metre, type, ...asked }) {
  const named = (all, name) => Object.entries(all).filter(([each]) => !name || each === name)
  return named(forms, metre).some(([, types]) =>
    named(types, type).some(([, lines]) => Object.keys(lines).some((line) => line && is(line, asked)))
  )
}

function is(line, { parts, bars, repeats }) {
  const found = [...line.matchAll(/([.bx0-9]+)([:|[])/g)]
  return (
    (!parts || found.length === Number(parts)) &&
    (!bars || found.every(([, all]) => all.length === Number(bars))) &&
    (!repeats || found.every(([, , end]) => String(end !== '|') === repeats))
  )
}
