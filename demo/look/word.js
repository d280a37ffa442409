// A clicked word presses the button of the X-ray that can be seen.
word => {
  if (word) [...document.querySelectorAll('button.xray-button')].find(button => button.offsetParent)?.click();
}
