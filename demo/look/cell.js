// A click on a cell of the picture chooses its matrix. (Gradio takes a field "path" for a file.)
element.addEventListener('click', event => {
  const cell = event.target.closest('[data-module]');
  if (cell) trigger('click', {module: cell.dataset.module});
})
