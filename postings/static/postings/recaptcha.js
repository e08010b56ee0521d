// Version 3: the button has got its token; it stands in the form's g-recaptcha-response.
window.sendPosting = () => document.getElementById("posting-form").submit();
