//! What is wrong with the servers, or with the picture, is named.

mod doctor;
