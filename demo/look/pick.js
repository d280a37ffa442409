// A click on a row or a point, or Enter on its name, chooses a method.
const choose = place => element.querySelectorAll('[data-method]').forEach(
  part => part.classList.toggle('chosen', Number(part.dataset.method) === place));
element.addEventListener('click', event => {
  const part = event.target.closest('[data-method]');
  if (!part) return;
  event.preventDefault();
  choose(Number(part.dataset.method));
  trigger('select', {index: Number(part.dataset.method), value: ''});
});
