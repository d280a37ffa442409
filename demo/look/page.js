// Screen readers announce messages and know the filter fields of tables; keys scroll long texts; texts of another prompt
// than the one in the box are dimmed.
() => {
  let due = false;
  const tell = () => {
    due = false;
    document.querySelectorAll('.message').forEach(line => line.setAttribute('role', 'status'));
    document.querySelectorAll('.search-input').forEach(field => field.setAttribute('aria-label', 'Filter the table'));
    document.querySelectorAll('.pane-text').forEach(pane => { pane.tabIndex = 0; });
    const written = document.querySelector('.live .figures [data-prompt]');
    const typed = document.querySelector('#prompt textarea');
    document.body.classList.toggle('old-prompt', Boolean(written && typed) && written.dataset.prompt !== typed.value);
  };
  const soon = () => {
    if (!due) requestAnimationFrame(tell);
    due = true;
  };
  tell();
  document.addEventListener('input', soon);
  new MutationObserver(soon).observe(document.body, {childList: true, subtree: true});
}
