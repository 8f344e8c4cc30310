// A picture that does not come is replaced by a sentence.
"use strict";
for (const picture of document.querySelectorAll(".picture img")) {
  const away = () => { picture.hidden = true; picture.nextElementSibling.hidden = false; };
  picture.addEventListener("error", away);
  if (picture.complete && picture.currentSrc && picture.naturalWidth === 0) away();
}
