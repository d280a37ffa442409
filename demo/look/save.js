// Saves a file by its address, or a small one by its bytes.
(file) => {
  if (!file) return;
  const bytes = () => Uint8Array.from(atob(file.data), character => character.charCodeAt(0));
  const link = document.createElement('a');
  link.href = file.url ?? URL.createObjectURL(new Blob([bytes()], {type: 'application/octet-stream'}));
  link.download = file.orig_name ?? file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}
