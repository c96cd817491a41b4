// Runs after page.js: what is pressed before that would send the form by the browser's own way and lose its content.

document.querySelector('main').inert = false
